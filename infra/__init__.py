"""Everything outside this process: ports, their real clients and stand-ins, the store, the services, the settings."""

"""What the region of the stand-in offers: engines and flavors."""

from infra.modelarts.emulator.request import JsonObject

ENGINE = "mindspore-stand-in-cpu"
FLAVOR = "modelarts.vm.cpu.2u"
MAX_NODES = 1

ENGINES: list[JsonObject] = [
    {
        "engine_id": ENGINE,
        "engine_name": "AtlasFlow stand-in: MindSpore of this machine, on its CPU",
        "engine_version": ENGINE,
        "v1_compatible": False,
        "run_user": "1102",
    }
]
FLAVORS: list[JsonObject] = [
    {
        "flavor_id": FLAVOR,
        "flavor_name": "AtlasFlow stand-in: this machine's CPU",
        "flavor_type": "CPU",
        "max_num": MAX_NODES,
        "billing": {"code": FLAVOR, "unit_num": 1},
        "flavor_info": {
            "max_num": MAX_NODES,
            "cpu": {"arch": "x86", "core_num": 2},
            "memory": {"size": 8, "unit": "GB"},
        },
        "attributes": {"is_free": "true"},
    }
]


def flavor_detail(flavor: str) -> JsonObject:
    """Return what is known of a flavor; nothing for an unknown one."""
    return next((item for item in FLAVORS if item["flavor_id"] == flavor), {})

"""Object storage: Huawei OBS through boto3, and the embedded server that stands in for it."""

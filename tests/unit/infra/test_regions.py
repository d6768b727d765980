import pytest

from infra.regions import region_of, sibling


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://obs.cn-north-4.myhuaweicloud.com", "cn-north-4"),
        ("https://obs.eu-west-101.myhuaweicloud.eu", "eu-west-101"),
        ("https://obs.eu-de.otc.t-systems.com", "eu-de"),
        ("https://obs.sa-brazil-1.myhuaweicloud.com:443/", "sa-brazil-1"),
        ("https://obs.myhuaweicloud.com", ""),
        ("https://modelarts.cn-north-4.myhuaweicloud.com", ""),
        ("http://127.0.0.1:9000", ""),
        ("https://s3.example.org", ""),
        ("", ""),
    ],
)
def test_the_region_is_in_the_host_name(endpoint: str, region: str) -> None:
    assert region_of(endpoint, "obs") == region


@pytest.mark.parametrize(
    ("endpoint", "iam"),
    [
        ("https://modelarts.eu-west-101.myhuaweicloud.eu", "https://iam.eu-west-101.myhuaweicloud.eu"),
        ("https://modelarts.cn-north-4.myhuaweicloud.com", "https://iam.cn-north-4.myhuaweicloud.com"),
        ("http://127.0.0.1:1", ""),
    ],
)
def test_other_services_are_beside_it(endpoint: str, iam: str) -> None:
    assert sibling(endpoint, "iam") == iam

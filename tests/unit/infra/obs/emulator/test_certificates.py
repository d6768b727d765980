import stat
from pathlib import Path

from cryptography import x509

from infra.obs.emulator import certificates, rules


def test_a_certificate_is_created_once_and_again_before_it_expires(tmp_path: Path) -> None:
    certificate, key = certificates.server_certificate(tmp_path, "cn-north-4")
    first = certificate.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert certificates.server_certificate(tmp_path, "cn-north-4") == (certificate, key)
    assert certificate.read_bytes() == first
    other, _ = certificates.server_certificate(tmp_path, "cn-south-1", days=10)
    assert other != certificate
    assert certificate.read_bytes() == first
    expiring = other.read_bytes()
    certificates.server_certificate(tmp_path, "cn-south-1")
    assert other.read_bytes() != expiring


def test_it_names_the_hosts_of_one_region_and_no_key_of_the_ca_stays(tmp_path: Path) -> None:
    certificate, key = certificates.server_certificate(tmp_path, "cn-north-4")
    names = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert {"obs.cn-north-4.myhuaweicloud.com", "*.obs.cn-north-4.myhuaweicloud.com"} <= set(
        names.value.get_values_for_type(x509.DNSName)
    )
    private = [path for path in tmp_path.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert private == [key]
    assert (
        "stand-in"
        in x509.load_pem_x509_certificate(rules.ca_file(tmp_path, "cn-north-4").read_bytes()).subject.rfc4514_string()
    )

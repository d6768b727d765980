"""compose.yaml, Dockerfile and the Kubernetes manifests: their schemas, and that all that they name exists."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings.legacy import _get_valid_setting_names
from prefect.settings.models.root import Settings as PrefectSettings
from prefect_redis.client import RedisMessagingSettings

from infra.settings import load
from tests.cluster import composed

KUBERNETES = composed.CHECKOUT / "infra" / "kubernetes"
COMPOSE = composed.compose()
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("atlasflow")}


def documents() -> Iterator[Any]:
    for path in sorted(KUBERNETES.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield pytest.param(document, id=f"{path.name}-{document['kind']}-{document['metadata']['name']}")


ALL = [parameter.values[0] for parameter in documents()]
PODS = {
    f"{document['kind']} {document['metadata']['name']}": document["spec"]["template"]["spec"]
    for document in ALL
    if document["kind"] in ("Deployment", "Job")
}
CONTAINERS = {
    container["name"]: container
    for pod in PODS.values()
    for container in pod["containers"] + pod.get("initContainers", [])
}
MAPS = {document["metadata"]["name"]: document["data"] for document in ALL if document["kind"] == "ConfigMap"}
SECRETS = {document["metadata"]["name"]: document["stringData"] for document in ALL if document["kind"] == "Secret"}


def environment(container: Any) -> Any:
    """Names of a container's variables, and the values of those that are no secrets."""
    found: dict[str, str | None] = {}
    for source in container.get("envFrom", []):
        found |= MAPS[source["configMapRef"]["name"]]
    for entry in container.get("env", []):
        reference = entry["valueFrom"]["secretKeyRef"]
        assert reference["key"] in SECRETS[reference["name"]]
        found[entry["name"]] = None
    return found


def prefect_names() -> Any:
    redis = {f"PREFECT_REDIS_MESSAGING_{name.upper()}" for name in RedisMessagingSettings.model_fields}
    return _get_valid_setting_names(PrefectSettings) | redis


def check_variables(names: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each is a setting of Prefect or of AtlasFlow."""
    known = prefect_names()
    assert {name for name in names if name.startswith("PREFECT_")} <= known
    for name in names:
        if name.startswith("ATLASFLOW_"):
            values = {"STORE__MIRROR": "obs://bucket/mirror", "SECRETS_DIR": str(tmp_path)}
            monkeypatch.setenv(name, values.get(name.removeprefix("ATLASFLOW_"), "http://127.0.0.1:1"))
    load()


def test_compose_is_what_the_specification_allows() -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="pip install compose-spec")
    assert set(compose_spec.PyCompose.from_json(json.dumps(COMPOSE)).service_names()) == set(SERVICES)
    wrong = json.loads(json.dumps(COMPOSE))
    wrong["services"]["redis"]["comand"] = ["redis-server"]
    with pytest.raises(ValueError, match="comand"):
        compose_spec.PyCompose.from_json(json.dumps(wrong))


def test_compose_names_nothing_that_is_not_there() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        assert set(service.get("networks", [])) <= set(COMPOSE["networks"])
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])
    for service in OURS.values():
        build = service["build"]
        context = (composed.COMPOSE.parent / build["context"]).resolve()
        assert (context / build["dockerfile"]).resolve() == composed.DOCKERFILE


def test_only_the_user_interface_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"server": ["127.0.0.1:4200:4200"]}
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["redis"]["networks"] == ["inside"]


def test_nothing_secret_is_written_into_compose() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET_KEY|AUTH_STRING|TOKEN", name):
                assert re.fullmatch(r"\$\{\w+:\?\}", value), name


@pytest.mark.parametrize("service", [*OURS, "redis"])
def test_every_program_of_compose_exists(service: Any, tmp_path: Path) -> None:
    places = composed.Places(tmp_path, {}, {}, tmp_path)
    if service == "redis" and shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    assert places.command(service, tmp_path)[0]


@pytest.mark.parametrize("service", OURS)
def test_every_variable_of_compose_means_something(
    service: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check_variables(OURS[service]["environment"], monkeypatch, tmp_path)


def test_a_variable_that_means_nothing_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_variables({"PREFECT_SERVER_DATABASE_HOSTT": "x"}, monkeypatch, tmp_path)


def test_every_service_that_goes_on_is_watched_and_started_again() -> None:
    for name, service in SERVICES.items():
        goes_on = service.get("restart") == "unless-stopped"
        ends = any(
            needed["condition"] == "service_completed_successfully"
            for other in SERVICES.values()
            for who, needed in other.get("depends_on", {}).items()
            if who == name
        )
        assert goes_on != ends, name
    assert all("test" in SERVICES[name]["healthcheck"] for name in ("postgres", "redis", "server"))
    assert "healthcheck" not in SERVICES["worker-1"]  # the image's own


def test_the_image_is_built_from_pinned_parts_and_runs_without_rights() -> None:
    instructions = composed.dockerfile()
    words = [word for word, _ in instructions]
    assert set(words) <= {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "VOLUME", "HEALTHCHECK", "CMD"}
    assert all(re.search(r":\d+\.\d+", rest) for word, rest in instructions if word == "FROM")
    assert words.index("USER") < words.index("CMD")
    assert dict(instructions)["USER"] == "atlasflow"
    runs = " ".join(rest for word, rest in instructions if word == "RUN")
    assert "--require-hashes" in runs
    assert "compileall" in runs
    assert "useradd --uid 10001" in runs
    for word, rest in instructions:
        if word == "COPY" and "--from" not in rest:
            *sources, _ = rest.split()
            assert all((composed.CHECKOUT / source).exists() for source in sources)


def test_the_image_does_by_itself_what_a_worker_does() -> None:
    places = composed.Places(composed.CHECKOUT, {}, {}, composed.CHECKOUT)
    assert json.loads(dict(composed.dockerfile())["CMD"])[:2] == SERVICES["worker-1"]["command"][:2]
    assert places.health_command("worker-1", composed.CHECKOUT)[1:3] == ["-m", "infra.health"]


def test_every_package_of_the_image_is_locked_by_hash() -> None:
    text = (composed.CHECKOUT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    packages = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(packages) > 100
    assert all("==" in line and "--hash=sha256:" in line for line in packages)
    assert any(line.startswith("prefect-redis==") for line in packages)


def versions(name: Any) -> Any:
    """Package to version, as a lock says."""
    text = (composed.CHECKOUT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9_.-]+)(?:\[[^\]]*\])?==(\S+)", text, re.MULTILINE))


def test_tests_run_with_the_versions_that_users_get() -> None:
    run, development = versions("requirements.lock"), versions("requirements-dev.lock")
    assert run.items() <= development.items()
    assert {"pytest", "gradio", "aim", "playwright"} <= development.keys() - run.keys()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-setup.lock"])
def test_locks_name_no_package_index(name: str) -> None:
    assert "://" not in (composed.CHECKOUT / name).read_text(encoding="utf-8")


def test_neither_secrets_nor_what_is_made_here_get_into_the_image() -> None:
    ignored = (composed.CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".git", ".venv", ".atlasflow", "infra/.env", "infra/secrets"} <= set(ignored)
    assert {"infra/.env", "infra/secrets/"} <= set((composed.CHECKOUT / ".gitignore").read_text().splitlines())


@pytest.mark.parametrize("document", list(documents()))
def test_manifests_are_what_kubernetes_allows(document: Any) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    kubernetes_validate.validate(document, "1.33", strict=True)


def test_a_wrong_manifest_is_found() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    wrong = json.loads(json.dumps(next(document for document in ALL if document["kind"] == "Deployment")))
    wrong["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.33", strict=True)


def test_pods_do_what_the_containers_of_compose_do() -> None:
    for name, container in CONTAINERS.items():
        service = SERVICES["worker-1" if name == "worker" else name]
        same = [word for word in container["args"] if not word.isdigit()]
        assert same == [word for word in service["command"] if not word.isdigit()]
        assert container["image"] == service["image"]
    assert set(CONTAINERS) == {"migrate", "server", "services", "worker", "deployments"}


def test_the_database_is_migrated_by_one_pod_alone() -> None:
    migrating = [name for name, pod in PODS.items() if "migrate" in str(pod)]
    assert migrating == ["Job migrate"]
    guide = (composed.CHECKOUT / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert guide.index("job/migrate") < guide.index("kubernetes/server.yaml")


def test_files_that_nobody_has_run_say_so() -> None:
    for path in (*KUBERNETES.glob("*.yaml"), composed.COMPOSE, composed.DOCKERFILE):
        assert "Untested" in path.read_text(encoding="utf-8"), path


def test_pods_have_the_variables_of_compose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("server", "services", "deployments", "worker"):
        there = SERVICES["worker-1" if name == "worker" else name]["environment"]
        here = environment(CONTAINERS[name])
        check_variables(here, monkeypatch, tmp_path)
        own = {key: value for key, value in here.items() if value is not None}
        places = {"ATLASFLOW_OBS__ENDPOINT", "ATLASFLOW_STORE__MIRROR", "ATLASFLOW_SECRETS_DIR", "PREFECT_API_URL"}
        assert {key: value for key, value in own.items() if key not in places}.items() <= there.items()
        # Where PostgreSQL and Redis are is one secret address each.
        parts = re.compile(r"PREFECT_SERVER_DATABASE_(DRIVER|HOST|PORT|USER|NAME|PASSWORD)|PREFECT_REDIS_MESSAGING_\w+")
        assert {key for key in there if not parts.fullmatch(key)} - {"DO_NOT_TRACK"} <= set(here)


def test_pods_run_without_rights_and_the_example_holds_no_secret() -> None:
    for pod in PODS.values():
        assert pod["securityContext"]["runAsNonRoot"]
        assert f"--uid {pod['securityContext']['runAsUser']}" in composed.DOCKERFILE.read_text()
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"] + pod.get("initContainers", []):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)
        if "settings" in volumes:
            items = {item["key"] for item in volumes["settings"]["secret"]["items"]}
            assert items == set(SECRETS[volumes["settings"]["secret"]["secretName"]])
    assert {value for secret in SECRETS.values() for value in secret.values()} == {""}


def test_what_selects_pods_selects_some() -> None:
    templates = [document["spec"]["template"] for document in ALL if document["kind"] in ("Deployment", "Job")]
    labels = [template["metadata"]["labels"] for template in templates]
    for document in ALL:
        spec = document.get("spec", {})
        wanted = spec.get("selector") or spec.get("podSelector")
        if wanted is not None:
            assert any((wanted.get("matchLabels") or wanted).items() <= found.items() for found in labels)
    service = next(document for document in ALL if document["kind"] == "Service")
    assert MAPS["atlasflow-client"]["PREFECT_API_URL"].startswith(
        f"http://{service['metadata']['name']}.atlasflow.svc:"
    )
    assert service["spec"]["type"] == "ClusterIP"


def test_the_template_of_the_work_pool_is_one_of_process_workers() -> None:
    from prefect.workers.process import ProcessWorker

    ours = json.loads((composed.CHECKOUT / "infra" / "work-pool.json").read_text())
    theirs = ProcessWorker.get_default_base_job_template()
    assert ours["job_configuration"] == theirs["job_configuration"]
    assert set(ours["variables"]["properties"]) == set(theirs["variables"]["properties"])

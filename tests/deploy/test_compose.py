"""docker-compose.yml: valid by the compose schema, every service probed, and configured in words the settings know."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from core.settings import Mode, Settings, describe_problems
from tests import components
from tests.components import ROOT

FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("api", "workers")


def interpolated(text: str) -> str:
    """With every ${NAME:-default} at its default, as with an empty environment."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text)


def schema_check(file: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).parent / "check-jsonschema"
    return subprocess.run(
        [str(tool), "--builtin-schema", "vendor.compose-spec", str(file)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_it_is_valid(tmp_path: Path) -> None:
    checked = schema_check(FILE)
    assert checked.returncode == 0, checked.stdout
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(FILE.read_text().replace("condition: service_healthy", "condition: service_well", 1))
    assert schema_check(broken).returncode == 1


def test_all_parts_are_there() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert images["api"] == images["workers"] == "cryptovault:local"
    assert images["mongo"].startswith("mongo:8")
    assert images["redis"].startswith("redis:7")
    assert "mailpit" in images["mailpit"]
    assert not any(image.endswith(":latest") or ":" not in image for image in images.values())


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_probe(name: str) -> None:
    probe = SERVICES[name]["healthcheck"]
    assert probe["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= probe.keys()


@pytest.mark.parametrize("name", OURS)
def test_ours_wait_until_what_they_need_is_healthy(name: str) -> None:
    assert SERVICES[name]["depends_on"] == {
        other: {"condition": "service_healthy"} for other in ("mongo", "redis", "mailpit")
    }


@pytest.mark.parametrize("name", OURS)
def test_ours_run_without_rights_on_a_file_system_they_cannot_write(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "user" not in service
    assert not service.get("privileged")
    assert not service.get("volumes")


@pytest.mark.parametrize("name", OURS)
def test_ours_are_configured_with_settings_that_exist_and_hold(name: str) -> None:
    environment = {key: interpolated(value) for key, value in SERVICES[name]["environment"].items()}
    fields = {key.lower(): value for key, value in environment.items()}
    assert fields.keys() <= Settings.model_fields.keys()
    settings = Settings(_env_file=None, **fields)  # type: ignore[arg-type]
    assert settings.mode is Mode.SANDBOX
    assert not settings.embedded_database
    assert settings.redis_url is not None
    assert settings.email_provider == "smtp"
    assert settings.encryption_key is not None
    assert settings.host == "0.0.0.0"  # noqa: S104


def test_probes_ask_where_the_process_listens() -> None:
    for name, variable in (("api", "PORT"), ("workers", "WORKER_PORT")):
        port = SERVICES[name]["environment"][variable]
        assert f"127.0.0.1:{port}/health/live" in json.dumps(SERVICES[name]["healthcheck"]["test"])


def test_the_hosts_in_urls_are_services() -> None:
    for key in ("MONGO_URL", "REDIS_URL", "SMTP_URL"):
        url = SERVICES["api"]["environment"][key]
        found = re.match(r"[a-z]+://([a-z]+):(\d+)", url)
        assert found is not None, url
        assert found[1] in SERVICES


def test_the_database_is_a_replica_set_that_initiates_itself() -> None:
    command, script = SERVICES["mongo"]["command"], SERVICES["mongo"]["healthcheck"]["test"][-1]
    name = command[command.index("--replSet") + 1]
    assert f'_id: "{name}"' in script
    assert 'host: "mongo:27017"' in script
    assert f"replicaSet={name}" in SERVICES["api"]["environment"]["MONGO_URL"]


def test_the_initiation_script_does_as_it_says() -> None:
    """Run in Node with the shell's objects played: not yet initiated, initiated but not primary, primary, another error."""
    node = shutil.which("node")
    if node is None:
        components.missing("node")
    script = SERVICES["mongo"]["healthcheck"]["test"][-1]
    cases: dict[str, tuple[int | str, int]] = {
        "fresh": (1, 1),
        "secondary": (1, 0),
        "primary": (0, 0),
        "unauthorized": ("Unauthorized", 0),
    }
    for case, (status, initiations) in cases.items():
        played = f"""
        const state = {json.dumps(case)}
        let initiated = 0, left = null
        const rs = {{
          status() {{
            if (state === 'fresh') throw Object.assign(new Error(), {{ codeName: 'NotYetInitialized' }})
            if (state === 'unauthorized') throw Object.assign(new Error(), {{ codeName: 'Unauthorized' }})
          }},
          initiate(config) {{ initiated += config.members.length }},
        }}
        const db = {{ hello: () => ({{ isWritablePrimary: state === 'primary' }}) }}
        const quit = (status) => {{ left = status }}
        try {{ {script} }} catch (error) {{ left = error.codeName }}
        console.log(JSON.stringify([left, initiated]))
        """
        answer = subprocess.run([str(node), "-e", played], capture_output=True, text=True, timeout=120, check=True)
        assert json.loads(answer.stdout) == [status, initiations], case


def test_redis_keeps_its_data_and_its_bounds() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert "--maxmemory" in command
    assert command[command.index("--maxmemory-policy") + 1].startswith("volatile-")


def test_data_lives_in_named_volumes() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])
    for name in ("mongo", "redis", "mailpit"):
        assert SERVICES[name]["volumes"]


def test_databases_are_out_of_reach_and_ports_open_only_to_this_machine() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("mongo", "redis"):
        assert SERVICES[name]["networks"] == ["inside"]
        assert "ports" not in SERVICES[name]
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_key_written_here_is_for_development_and_production_refuses_it() -> None:
    key = SecretStr(interpolated(SERVICES["api"]["environment"]["ENCRYPTION_KEY"]))
    with pytest.raises(ValidationError) as refusal:
        Settings(_env_file=None, mode=Mode.PRODUCTION, encryption_key=key)
    assert any(
        line.startswith("ENCRYPTION_KEY: the value is a development secret")
        for line in describe_problems(refusal.value)
    )


def test_no_other_secret_is_written_here() -> None:
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            assert key == "ENCRYPTION_KEY" or not re.search("KEY|SECRET|PASSWORD|TOKEN", key), key
            assert "@" not in str(value), f"{key} holds credentials"

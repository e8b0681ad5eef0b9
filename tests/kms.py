"""AWS KMS for tests: moto's server in this process, taught what it lacks, and a server that answers whatever a test wants.

moto 5.2.5 hashes again what comes with MessageType DIGEST, and has no Ed25519 keys; both are mended here, and nothing else.
"""

import base64
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto.kms import models, utils
from moto.kms.exceptions import ValidationException
from moto.kms.responses import KmsResponse
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}
"""Enough for AWS' library to ask; it looks for no others."""
ED25519_SPEC = "ECC_NIST_EDWARDS25519"
Answer = Callable[[str, dict[str, Any]], tuple[int, bytes]]
"""What a server says to an operation such as `Sign` and its parameters: status and body."""


class _Digest(bytes):
    """A message that is a hash already."""


class _Ed25519Key(utils.AbstractPrivateKey):
    def __init__(self) -> None:
        self.private_key = Ed25519PrivateKey.generate()

    def sign(self, message: bytes, signing_algorithm: str) -> bytes:
        if isinstance(message, _Digest):
            raise ValidationException("ED25519_SHA_512 requires MessageType RAW")
        return self.private_key.sign(message)

    def verify(self, message: bytes, signature: bytes, signing_algorithm: str) -> bool:
        raise NotImplementedError

    def public_key(self) -> bytes:
        return self.private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _teach(patch: pytest.MonkeyPatch) -> None:
    plain_sign, plain_param = utils.ECDSAPrivateKey.sign, KmsResponse._get_param
    plain_key, plain_specs = utils.generate_private_key, utils.KeySpec.key_specs
    plain_algorithms = vars(models.Key)["signing_algorithms"].fget

    def sign(key: utils.ECDSAPrivateKey, message: bytes, signing_algorithm: str) -> bytes:
        if isinstance(message, _Digest):
            return key.private_key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256())))
        return plain_sign(key, message, signing_algorithm)

    def get_param(self: KmsResponse, name: str, if_none: Any = None) -> Any:
        found = plain_param(self, name, if_none)
        return _Digest(found) if name == "Message" and plain_param(self, "MessageType") == "DIGEST" else found

    patch.setattr(utils.ECDSAPrivateKey, "sign", sign)
    patch.setattr(KmsResponse, "_get_param", get_param)
    patch.setattr(utils.KeySpec, "key_specs", classmethod(lambda cls: [*plain_specs(), ED25519_SPEC]))
    patch.setattr(
        models, "generate_private_key", lambda spec: _Ed25519Key() if spec == ED25519_SPEC else plain_key(spec)
    )
    patch.setattr(
        models.Key,
        "signing_algorithms",
        property(lambda key: ["ED25519_SHA_512"] if key.key_spec == ED25519_SPEC else plain_algorithms(key)),
    )


@contextmanager
def kms_server() -> Iterator[str]:
    """KMS as moto has it, on a free port; yields its URL."""
    with pytest.MonkeyPatch.context() as patch:
        _teach(patch)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            _, port = server.get_host_and_port()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.stop()


def make_key(url: str, spec: str) -> str:
    """Make a key that signs; gives an alias of it that nothing else has (moto keeps its keys for as long as the process lives)."""
    client = boto3.session.Session().client("kms", region_name=REGION, endpoint_url=url)
    key_id = client.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]  # type: ignore[arg-type]
    alias = f"alias/{secrets.token_hex(8)}"
    client.create_alias(AliasName=alias, TargetKeyId=key_id)
    return alias


@contextmanager
def scripted_kms(answer: Answer) -> Iterator[str]:
    """A KMS that says what `answer` gives, which may also raise, to end the connection, or wait; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = answer(operation, asked)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(**fields: bytes | str) -> tuple[int, bytes]:
    """A good answer; bytes in base64."""
    body = {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value for name, value in fields.items()
    }
    return 200, json.dumps(body).encode()


def refusal(code: str, status: int = 400) -> tuple[int, bytes]:
    """An error as AWS has it, with a message that names who asked."""
    return status, json.dumps({"__type": code, "message": "User arn:aws:iam::111122223333:user/geheim is …"}).encode()

"""Google's own clients, asked by a test: a list of actions in JSON on standard input, a list of pairs on standard output.

A pair is a verdict (OK, the code of Google's error, LOGIN where no token was given) and what the client said. Names
lead to the fake by /etc/hosts, its authority is trusted by REQUESTS_CA_BUNDLE, credentials are found as these clients
find them: in the file that an action names, or else by the metadata server.
"""

import base64
import json
import os
import sys

import google.auth.exceptions
import google_crc32c
from google.api_core import exceptions
from google.cloud import kms_v1, storage


def crc32c(content):
    checksum = google_crc32c.Checksum()
    checksum.update(content)
    return int.from_bytes(checksum.digest(), "big")


def encrypt(client, key, content):
    answer = client.encrypt(
        request={"name": key, "plaintext": content, "plaintext_crc32c": crc32c(content)}, retry=None, timeout=20
    )
    assert answer.verified_plaintext_crc32c, "the checksum of the plaintext was not looked at"
    assert answer.ciphertext_crc32c == crc32c(answer.ciphertext), "checksum of the ciphertext"
    assert answer.name.startswith(key + "/cryptoKeyVersions/"), answer.name
    return answer.ciphertext


def decrypt(client, key, content):
    answer = client.decrypt(
        request={"name": key, "ciphertext": content, "ciphertext_crc32c": crc32c(content)}, retry=None, timeout=20
    )
    assert answer.plaintext_crc32c == crc32c(answer.plaintext), "checksum of the plaintext"
    return answer.plaintext


def kms(action):
    client = kms_v1.KeyManagementServiceClient(transport="rest")
    content = b"\x00\xff" * 16
    sealed = encrypt(client, action["key"], content)
    if action["do"] == "tamper":
        sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    opened = decrypt(client, action.get("other", action["key"]), sealed)
    assert opened == content, "another plaintext"


def unwrap(action):
    """Decrypts what another client has encrypted."""
    client = kms_v1.KeyManagementServiceClient(transport="rest")
    content = decrypt(client, action["key"], base64.b64decode(action["wrapped"]))
    assert len(content) == action["bytes"], len(content)


def put(action):
    bucket = storage.Client(project="p").bucket(action["bucket"])
    content = action["content"].encode()
    bucket.blob(action["name"]).upload_from_string(content, content_type="text/plain", retry=None, timeout=20)
    back = bucket.get_blob(action["name"], retry=None, timeout=20)
    assert back.size == len(content), back.size
    assert bucket.blob(action["name"]).download_as_bytes(retry=None, timeout=20) == content


def judge(action):
    os.environ.pop("GOOGLE_APPLICATION_CREDENTIALS", None)
    if action["credentials"]:
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = action["credentials"]
    try:
        {"put": put, "unwrap": unwrap}.get(action["do"], kms)(action)
        return "OK", ""
    except google.auth.exceptions.GoogleAuthError as error:
        return "LOGIN", str(error)
    except exceptions.GoogleAPICallError as error:
        return error.response.json()["error"]["status"], str(error)
    except Exception as error:  # the test shows it
        return "ANOTHER", repr(error)


json.dump([judge(action) for action in json.load(sys.stdin)], sys.stdout)

"""Azure's own client library against a vault: the judge of our fake of it.

  azure_judge.py version URL           prints the newest version of the key at URL
  azure_judge.py seal URL              encrypts a data key, prints it in base64url
  azure_judge.py open URL ENCRYPTED    decrypts; fails unless 32 bytes come out

URL is https://VAULT/keys/NAME[/VERSION]; the credentials are those of the environment, or of the
machine with JUDGE_CREDENTIAL=machine.
"""

import base64
import os
import sys

from azure.identity import EnvironmentCredential, ManagedIdentityCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm


def main(operation, url, encrypted=""):
    machine = os.environ.get("JUDGE_CREDENTIAL") == "machine"
    credential = ManagedIdentityCredential() if machine else EnvironmentCredential()
    if operation == "version":
        vault, _, name = url.partition("/keys/")
        print(KeyClient(vault, credential, retry_total=0).get_key(name.strip("/")).properties.version)
        return
    client = CryptographyClient(url, credential, retry_total=0)
    algorithm = EncryptionAlgorithm.rsa_oaep_256
    if operation == "seal":
        sealed = client.encrypt(algorithm, os.urandom(32)).ciphertext
        print(base64.urlsafe_b64encode(sealed).rstrip(b"=").decode())
        return
    sealed = base64.urlsafe_b64decode(encrypted + "=" * (-len(encrypted) % 4))
    length = len(client.decrypt(algorithm, sealed).plaintext)
    if length != 32:
        sys.exit(f"{length} bytes came out")


main(*sys.argv[1:])

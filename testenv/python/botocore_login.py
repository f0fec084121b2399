"""Logs in as AWS's own client does with a profile; the codes of its MFA devices are the second argument."""

import sys

import botocore.session

profile, code = sys.argv[1:]
session = botocore.session.Session(profile=profile)
provider = session.get_component("credential_provider").get_provider("assume-role")
provider._prompter = lambda question: code
session.get_credentials().get_frozen_credentials()

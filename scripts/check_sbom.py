"""Compare bills of materials with the CycloneDX project's own schema: check_sbom.py FILE..."""

import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

wrong = 0
for name in sys.argv[1:]:
    mistake = JsonStrictValidator(SchemaVersion.V1_6).validate_str(Path(name).read_text("utf-8"))
    print(f"{name}: {'as CycloneDX 1.6 asks' if mistake is None else f'not CycloneDX 1.6: {mistake}'[:500]}")
    wrong += mistake is not None
sys.exit(wrong > 0)

"""Where the standard file of the chorales lies, if it does."""

from pathlib import Path

import pytest

FILE = Path(__file__).parents[3] / "shared" / "data" / "jsb" / "Jsb16thSeparated.json"
needs_chorales = pytest.mark.skipif(not FILE.exists(), reason=f"the chorales are not at {FILE}")

"""Pictures of a controller's pages for docs/jenkins.md.

pictures.py URL NAME=PATH…    the controller's URL; each picture is docs/jenkins-NAME.png of a path

Of a rehearsal that KEEP=1 left there, with PYTHONPATH=.:ansible/plugins/module_utils and BEANFT_STATE of ENV=jenkins.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import vault_file
from playwright.sync_api import sync_playwright

from tests.browser.conftest import launch_options
from tests.browser.screenshots import small

ROOT = Path(__file__).resolve().parents[2]
MOST_HEIGHT = 1200


def main() -> None:
    """Log in and take them."""
    url = sys.argv[1]
    secrets = vault_file.read(Path(os.environ["BEANFT_STATE"]) / "vault.yml")["machine_secrets"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())
        # Its certificate is for programs, which check it; this one takes pictures of this machine.
        context = browser.new_context(
            ignore_https_errors=True, viewport={"width": 1400, "height": 900}
        )
        page = context.new_page()
        page.goto(f"{url}/login")
        page.fill("input[name=j_username]", "admin")
        page.fill("input[name=j_password]", secrets["jenkins_admin_password"])
        page.click("button[name=Submit]")
        page.wait_for_load_state("networkidle")
        for picture in sys.argv[2:]:
            name, path = picture.split("=", 1)
            page.goto(f"{url}{path}")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(2000)
            content = small(page.screenshot(full_page=True, animations="disabled"), MOST_HEIGHT)
            (ROOT / f"docs/jenkins-{name}.png").write_bytes(content)
            print(f"docs/jenkins-{name}.png: {len(content)} bytes of {path}")
        browser.close()


if __name__ == "__main__":
    main()

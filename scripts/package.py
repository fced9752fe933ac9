#!/usr/bin/env python3
"""The Debian package and the bill of materials of a release; scripts/release calls this.

  package.py deb PROGRAM ARCHITECTURE FOLDER COMPRESSION    from package.metadata.deb in Cargo.toml
  package.py sbom TARGET    CycloneDX 1.5, from what cargo resolves for TARGET

Needs only Python's own library, cargo, and dpkg-deb for the package. The same sources give the same
bytes: all times are SOURCE_DATE_EPOCH.
"""
import datetime
import glob
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import uuid
from pathlib import Path


def output(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def package():
    """What Cargo.toml says of mailroom, as cargo reads it."""
    return json.loads(output("cargo", "metadata", "--locked", "--no-deps", "--format-version=1"))["packages"][0]


def place(path, content, mode=0o644):
    """Writes a file into the package; manual pages and changelogs are compressed there."""
    if "/man/" in str(path) or path.name == "changelog":
        path, content = path.with_name(path.name + ".gz"), gzip.compress(content, 9, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


# The unit is neither enabled nor started: a person gives it its settings first. systemd hears of it, an
# upgrade restarts it where it runs, and removing the package stops it.
SCRIPTS = {
    "postinst": """
        if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
            systemctl --system daemon-reload >/dev/null || true
            [ -z "$2" ] || deb-systemd-invoke try-restart mailroom.service >/dev/null || true
        fi""",
    "prerm": """
        if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
            deb-systemd-invoke stop mailroom.service >/dev/null || true
        fi""",
    "postrm": """
        if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
            systemctl --system daemon-reload >/dev/null || true
        fi
        if [ "$1" = purge ] && command -v deb-systemd-helper >/dev/null; then
            deb-systemd-helper purge mailroom.service >/dev/null || true
        fi""",
}


def deb(program, architecture, folder, compression):
    about = package()
    told = about["metadata"]["deb"]
    with tempfile.TemporaryDirectory() as parent:
        root = Path(parent, "root")
        root.mkdir(mode=0o755)
        for source, target, mode in told["assets"]:
            found = sorted(glob.glob(source)) or [source]
            for file in found:
                content = Path(program if target == "usr/bin/" else file).read_bytes()
                path = root / (target + os.path.basename(file) if target.endswith("/") else target)
                place(path, content, int(mode, 8))
        unit = Path(told["systemd-units"]["unit-scripts"], "mailroom.service")
        place(root / "lib/systemd/system/mailroom.service", unit.read_bytes())
        documents = root / "usr/share/doc/mailroom"
        place(documents / "changelog", Path("CHANGELOG.md").read_bytes())
        place(documents / "copyright", Path(told["license-file"][0]).read_bytes())
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        short, _, _ = about["description"].partition(":")
        long = textwrap.fill(told["extended-description"], 78, initial_indent=" ", subsequent_indent=" ")
        place(root / "DEBIAN/control", "".join(f"{line}\n" for line in [
            "Package: mailroom", f"Version: {about['version']}-1", f"Architecture: {architecture}",
            f"Maintainer: {told['maintainer']}", f"Section: {told['section']}",
            f"Priority: {told['priority']}", f"Installed-Size: {size // 1024 + 1}",
            f"Description: {short}", long,
        ]).encode())
        for name, text in SCRIPTS.items():
            script = f"#!/bin/sh\nset -e\n{textwrap.dedent(text).strip()}\n"
            place(root / "DEBIAN" / name, script.encode(), 0o755)
        for path in root.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        subprocess.run(["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", root, folder],
                       check=True, stdout=subprocess.DEVNULL)


def sbom(target):
    about = package()
    lock = Path("Cargo.lock").read_text(encoding="utf-8")
    hashes = {(name, version): checksum for name, version, checksum in re.findall(
        r'name = "(.*)"\nversion = "(.*)"\nsource = ".*"\nchecksum = "(.*)"', lock)}
    words = ["cargo", "tree", "--locked", "--edges=normal", f"--target={target}", "--prefix=depth"]
    components, edges, above = {}, {}, []
    for line in output(*words, "--format=|{p}|{l}").splitlines():
        depth, crate, licence = line.split("|")
        name, version = crate.split()[:2]
        version = version.removeprefix("v")
        reference = f"pkg:cargo/{name}@{version}"
        del above[int(depth):]
        if above:
            edges[above[-1]].add(reference)
        above.append(reference)
        edges.setdefault(reference, set())
        # cargo marks what it has shown before.
        licence = licence.removesuffix(" (*)").replace("/", " OR ")
        components[reference] = {
            "type": "library", "bom-ref": reference, "name": name, "version": version, "purl": reference,
            "licenses": [{"expression": licence}],
        }
        if (name, version) in hashes:
            components[reference]["hashes"] = [{"alg": "SHA-256", "content": hashes[name, version]}]
    root = f"pkg:cargo/mailroom@{about['version']}"
    program = components.pop(root)
    program["type"] = "application"
    # They are linked into the static program too.
    rust = output(os.environ.get("RUSTC", "rustc"), "--version").split()[1]
    for name, version in [("rust-std", rust), ("musl", None)]:
        components[name] = {"type": "library", "bom-ref": name, "name": name} | (
            {"version": version} if version else {})
        edges[root].add(name)
        edges[name] = set()
    then = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    bill = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"timestamp": then.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": program},
        "components": [components[reference] for reference in sorted(components)],
        "dependencies": [{"ref": one, "dependsOn": sorted(edges[one])} for one in sorted(edges)],
    }
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill))}"
    print(json.dumps(bill, indent=2))


{"deb": deb, "sbom": sbom}[sys.argv[1]](*sys.argv[2:])

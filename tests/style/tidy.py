# SPDX-License-Identifier: MIT
"""tidy.py CLANG_TIDY BUILD PART PARTS: clang-tidy over a part of the compile database, with the checks of .clang-tidy.

A file that was clean is not looked at again while it, its headers, its flags and the checks are what they were: an empty
file in ~/.cache/kaso-tidy, named by a hash of all that, says so. Entries that nobody asked for in a month go.
"""
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'kaso-tidy'
MONTH = 30 * 24 * 3600
BATCH = 64


def file_digest(path, memo={}):
    if path not in memo:
        try:
            with open(path, 'rb') as file:
                memo[path] = hashlib.sha256(file.read()).digest()
        except OSError:
            memo[path] = b''
    return memo[path]


def dependencies(build, outputs):
    """Output -> what it was made of, as ninja noted when it compiled."""
    text = subprocess.run(['ninja', '-C', str(build), '-t', 'deps', *outputs], capture_output=True, text=True, check=False).stdout
    result = {}
    for block in text.split('\n\n'):
        name, *lines = block.splitlines() or ['']
        match = re.match(r'(.*): #deps \d+,.*\(VALID\)$', name)
        if match:
            result[match[1]] = [line.strip() for line in lines]
    return result


def sources(build):
    """(source, its entry of the compile database): one for each source of the tree, in order."""
    seen = {}
    for entry in json.loads((build / 'compile_commands.json').read_text()):
        source = pathlib.Path(os.path.normpath(build / entry['file']))
        if source.suffix == '.c' and build not in source.parents and ROOT in source.parents:
            seen.setdefault(source, entry)
    return sorted(seen.items(), key=lambda item: str(item[0]))


def units(build, chosen):
    """(source, key) for each; key None when what it includes is unknown."""
    known = dependencies(build, [entry['output'] for _, entry in chosen])
    checks = (ROOT / '.clang-tidy').read_bytes()
    for source, entry in chosen:
        files = known.get(entry['output'])
        key = None
        if files is not None:
            flags = [word for word in shlex.split(entry['command']) if word.startswith(('-I', '-D', '-W', '-std'))]
            digest = hashlib.sha256(checks + repr((str(source.relative_to(ROOT)), flags)).encode())
            for file in files:
                digest.update(file_digest(os.path.normpath(build / file)))
            key = digest.hexdigest()
        yield source, key


def examine(tidy, build, sources):
    """True and nothing, or False and what there is to say."""
    run = subprocess.run([tidy, '-p', str(build), '--quiet', '--extra-arg=-Wno-unknown-warning-option', *map(str, sources)],
                         capture_output=True, text=True)
    return run.returncode == 0, run.stdout or run.stderr


def remembered(key):
    if not key or not (CACHE / key).exists():
        return False
    os.utime(CACHE / key)
    return True


def examine_all(tidy, build, found):
    """What there is to say of each source that has something. A start of clang-tidy, which reads the whole compile database, costs as much as a file does."""
    texts = []
    for first in range(0, len(found), BATCH):
        batch = found[first:first + BATCH]
        all_clean, _ = examine(tidy, build, [source for source, _ in batch])
        for source, key in batch:
            clean, text = (True, '') if all_clean else examine(tidy, build, [source])
            if clean and key:
                (CACHE / key).touch()
            elif not clean:
                texts.append(text)
    return texts


def main():
    tidy, build, part, parts = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    CACHE.mkdir(parents=True, exist_ok=True)
    for entry in CACHE.iterdir():
        if entry.stat().st_mtime < time.time() - MONTH:
            entry.unlink(missing_ok=True)
    mine = list(units(build, sources(build)[part::parts]))
    texts = examine_all(tidy, build, [(source, key) for source, key in mine if not remembered(key)])
    print(*texts, f'{len(mine)} files, {len(texts)} with something to mend', sep='\n')
    return len(texts) != 0


sys.exit(main())

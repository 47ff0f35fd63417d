#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Conventions of the tree, checked like bugs: check.py KIND [ARGUMENTS]. Kinds are the functions below."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ['accel', 'backends', 'base', 'block', 'debug', 'hw', 'machine', 'main', 'migration', 'monitor', 'target', 'tests', 'ui']
LONG_FILE = 800
LONG_FUNCTION = 60


def sources(*suffixes, tests=True):
    for folder in FOLDERS:
        if folder == 'tests' and not tests:
            continue
        for path, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in sorted(names):
                if name.endswith(suffixes):
                    yield os.path.relpath(os.path.join(path, name), ROOT)


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        return file.read()


def layer_table():
    rows = {}
    for line in read('docs/layers.md').splitlines():
        row = re.match(r'\| `([^`]+)` \|(.*)\|$', line)
        if row:
            everything = row[2].strip() == 'everything'
            rows[row[1]] = None if everything else re.findall(r'`([^`]+)`', row[2])
    return rows


def within(path, place):
    return path == place or path.startswith(place + '/')


def layers(problems):
    """Includes follow docs/layers.md."""
    rows = layer_table()
    for path in sources('.c', '.h'):
        folder = max((f for f in rows if within(path, f)), key=len, default=None)
        if folder is None:
            problems.append(f'{path}: its folder is not in docs/layers.md')
            continue
        if rows[folder] is None:
            continue
        for line, text in enumerate(read(path).splitlines(), 1):
            include = re.match(r'\s*#\s*include\s+"([^"]+)"', text)
            if not include:
                continue
            target = include[1]
            if not os.path.exists(os.path.join(ROOT, target)):
                if '/' in target:
                    continue  # made at build time
                problems.append(f'{path}:{line}: "{target}" does not start at the root of the tree')
            elif target == 'machine/private.h' and folder != 'machine':
                problems.append(f'{path}:{line}: machine/private.h is for machine/ alone')
            elif not any(within(target, place) for place in [folder] + rows[folder]):
                problems.append(f'{path}:{line}: {folder} may not include {target}')


def own_headers():
    """Headers that a source includes before all else: the build has compiled those alone."""
    for path in sources('.c'):
        first = re.search(r'^\s*#\s*include\s+(\S+)', read(path), re.M)
        if first:
            yield first[1].strip('"')


def headers(problems, build):
    """Each header compiles alone."""
    flags = subprocess.run(['pkg-config', '--cflags', 'glib-2.0', 'jansson', 'pixman-1', 'slirp'], capture_output=True,
                           text=True, check=True).stdout.split()
    sdl = subprocess.run(['pkg-config', '--cflags', 'sdl2'], capture_output=True, text=True)
    flags += sdl.stdout.split()
    compiled = set(own_headers())
    paths = [p for p in sources('.h') if p not in compiled and '#error' not in read(p) and
             not (sdl.returncode and p.startswith('ui/sdl/'))]
    command = os.environ.get('CC', 'cc').split() + [
        '-x', 'c', '-std=gnu11', '-D_GNU_SOURCE', '-fsyntax-only', '-w', '-I', ROOT, '-I', build, *flags]
    result = subprocess.run(command + [os.path.join(ROOT, p) for p in paths], capture_output=True, text=True)
    if result.returncode:
        problems += re.findall(r'^.*error:.*$', result.stderr, re.M)


# What the language, the compiler and its libraries call theirs, and what has to be spelled so that linkers and sanitizers see it.
RESERVED = re.compile(r'_(Alignas|Atomic|Bool|Generic|Noreturn|Static_assert|GNU_SOURCE|SC_\w+|IO\w+)|__(builtin_\w+|atomic_\w+|ATOMIC_\w+|'
                      r'(asm|typeof|volatile|extension|x86_64|VA_ARGS|LINE|SANITIZE_\w+)__|attribute__|has_(attribute|feature)|thread|int128|'
                      r'm128[di]?|(get_)?cpuid(_count)?|io_uring_get_cqe|libc_\w+|(asan|tsan|sanitizer)_\w+|(start|stop)_registry_|'
                      r'(real|wrap)_ioctl)')


def reserved(problems):
    """No names that C keeps for itself: __anything and _Anything."""
    nothing = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    for path in sources('.c', '.h'):
        text = nothing.sub(lambda found: '\n' * found[0].count('\n'), read(path))
        for line, code in enumerate(text.splitlines(), 1):
            problems += [f'{path}:{line}: {word} is a name that C keeps for itself' for word in re.findall(r'\b(?:__\w+|_[A-Z]\w*)', code)
                         if not RESERVED.fullmatch(word)]


def lent_x87(problems):
    """Code that runs while the host's x87 is lent to a guest may not use it (docs/decisions/0026)."""
    for path in sources('.c', '.h', tests=False):
        if re.search(r'\blong double\b', read(path)):
            problems.append(f'{path}: long double uses the x87, which may be a guest\'s')


def orphans(problems):
    """Each source is named in some meson.build; '@0@' and concatenations there stand for anything."""
    names, patterns = set(), set()
    for listing in sources('meson.build'):
        text = re.sub(r"'\s*\+[^,\n]*?\+\s*'", '@0@', read(listing))
        for literal in re.findall(r"'([^'\n]+)'", text):
            path = os.path.normpath(os.path.join(os.path.dirname(listing), literal))
            names.add(path)
            if '@0@' in path:
                patterns.add(re.escape(path).replace('@0@', '.*'))
    for path in sources('.c', '.S'):
        stem = os.path.splitext(path)[0]
        # Loops over tests name their stems, with or without "test-".
        spellings = [path, stem, stem.replace('/test-', '/', 1)]
        if not names.intersection(spellings) and not any(re.fullmatch(pattern, spelling) for pattern in patterns
                                                         for spelling in spellings):
            problems.append(f'{path}: no meson.build names it')


def spdx(problems):
    """Each file begins with its licence."""
    for path in sources('.c', '.h', '.S', '.py', '.sh'):
        start = '\n'.join(read(path).splitlines()[:2])
        if 'SPDX-License-Identifier: MIT' not in start:
            problems.append(f'{path}: its first line is not the SPDX line')


def global_state(problems, *libraries):
    """No writable file-scope data but what allowed-globals.txt gives a reason for."""
    allowed = {}
    for line in read('tests/style/allowed-globals.txt').splitlines():
        if line and not line.startswith('#'):
            name, _, reason = line.partition(':')
            allowed[name.strip()] = reason.strip()
    seen = set()
    for library in libraries:
        output = subprocess.run(['objdump', '-t', library], capture_output=True, text=True, check=True).stdout
        for line in output.splitlines():
            symbol = re.match(r'[0-9a-f]+ .{7} (\S+)\s+[0-9a-f]+ (?:\.hidden )?(\S+)$', line)
            if not symbol or not re.match(r'\.(data|bss|tdata|tbss)', symbol[1]):
                continue
            if symbol[1].startswith('.data.rel.ro') or symbol[1] == symbol[2]:
                continue
            name = re.sub(r'\.\d+$', '', symbol[2])  # a static within a function
            if name.startswith(('__gcov', '__llvm', '__asan', '__odr_asan', '.L')):
                continue
            seen.add(name)
            if not allowed.get(name):
                problems.append(f'{os.path.basename(library)}: writable global {symbol[2]}; '
                                'hang it off Machine, or give a reason in tests/style/allowed-globals.txt')
    for name in set(allowed) - seen:
        problems.append(f'tests/style/allowed-globals.txt: {name} does not exist any more')


def lengths(problems):
    """Warns of long files and functions; tables and generated code are exempt."""
    for path in sources('.c', '.h', tests=False):
        text = read(path)
        lines = text.count('\n')
        tables = sum(t.count('\n') for t in re.findall(r'clang-format off.*?clang-format on', text, re.S))
        if lines - tables > LONG_FILE:
            print(f'warning: {path} has {lines - tables} lines (more than {LONG_FILE})')
        for function in re.finditer(r'^(\w[^\n;=]*\)|\s+[^\n;=]*\))\n\{\n(.*?)^\}$', text, re.M | re.S):
            if function[2].count('\n') > LONG_FUNCTION:
                line = text.count('\n', 0, function.start()) + 1
                print(f'warning: {path}:{line}: a function of {function[2].count(chr(10))} lines '
                      f'(more than {LONG_FUNCTION})')


def formatted(problems, *folders):
    """clang-format agrees; headers are laid out by hand."""
    paths = [os.path.join(ROOT, p) for p in sources('.c') if not folders or p.split('/')[0] in folders]
    result = subprocess.run(['clang-format', '--dry-run', '-Werror', '--ferror-limit=1'] + paths,
                            capture_output=True, text=True, cwd=ROOT)
    if result.returncode:
        problems += sorted(set(re.findall(r'^(\S+?):\d+:\d+: error', result.stderr, re.M)))
        problems.append("'scripts/dev format' formats them")


def documents(*folders):
    for folder in folders:
        full = os.path.join(ROOT, folder)
        for name in sorted(os.listdir(full)) if os.path.isdir(full) else []:
            if name.endswith('.md'):
                yield os.path.normpath(os.path.join(folder, name))


def doc_links(problems):
    """Relative links in documents lead somewhere."""
    for path in documents('.', 'docs', 'docs/design', 'docs/howto', 'docs/decisions'):
        for link in re.findall(r'\]\(([^)#]+)(?:#[^)]*)?\)', read(path)):
            if '://' not in link and not os.path.exists(os.path.join(ROOT, os.path.dirname(path), link)):
                problems.append(f'{path}: the link to {link} is broken')


def doc_names(problems):
    """Files that pages of design name are there, by the end of their path."""
    files = ['/' + path for path in sources('.c', '.h', '.S', '.py')]
    for path in documents('docs/design'):
        for name in sorted(set(re.findall(r'`([\w./-]*\w\.(?:c|h|S|py))`', read(path)))):
            if not name.startswith('-') and 'NAME' not in name and not any(file.endswith('/' + name) for file in files):
                problems.append(f'{path}: there is no {name}')


KINDS = {f.__name__: f for f in [layers, headers, orphans, spdx, global_state, lengths, reserved, lent_x87, formatted, doc_links, doc_names]}


def main():
    problems = []
    KINDS[sys.argv[1]](problems, *sys.argv[2:])
    for problem in problems:
        print(problem)
    return bool(problems)


if __name__ == '__main__':
    sys.exit(main())

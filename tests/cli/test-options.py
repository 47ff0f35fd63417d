#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gives every option of every type that help lists (devices, accelerators, machines, CPUs, back ends, objects) and
looks at how the program ends: by itself with status 0 or 1 and a message, never by a signal or a sanitizer.
Also: what is said not to be built is not built. Usage: test-options.py FOLDER [--thorough]: without it, each option has
one value, in turn, and what several devices have in common is given to the first of them."""
import concurrent.futures
import itertools
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

FOLDER = os.path.abspath(sys.argv.pop(1))
THOROUGH = '--thorough' in sys.argv
sys.argv = [text for text in sys.argv if text != '--thorough']
KASO = os.path.join(FOLDER, 'kaso-system-aarch64')
VIRT = ['-M', 'virt', '-accel', 'tcg,interp=on', '-display', 'none', '-m', '64', '-S', '-monitor', 'stdio']
ENVIRONMENT = dict(os.environ, MALLOC_PERTURB_='165', MALLOC_CHECK_='3')

# What devices refer to and where they sit.
SURROUNDINGS = ['-chardev', 'null,id=c0', '-netdev', 'user,id=n0,restrict=on', '-object', 'rng-builtin,id=r0',
                '-object', 'iothread,id=t0', '-blockdev', 'driver=null-co,node-name=d0,size=1M',
                '-device', 'virtio-serial-pci']
VALUES = {
    'bool': ['on', 'off', 'perhaps'], 'OnOffAuto': ['on', 'off', 'auto'], 'size': ['64M', '-1'],
    'mac address': ['52:54:00:12:34:56', '1:2'], 'pci slot': ['7.0', '20'], 'chardev id': ['c0', 'nobody'],
    'netdev id': ['n0', 'nobody'], 'drive id': ['d0', 'nobody'], 'object id': ['r0', 'nobody'],
    'str': ['x', '', 'y' * 300], 'int32': ['-1', '0', '99999999999'], 'not yet': ['off', 'on'],
}
NEEDED = {'virtio-blk': 'drive=d0', 'virtio-net': 'netdev=n0'}


def run(arguments):
    """The failure of a run as text, or None."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = subprocess.run([KASO, *arguments], input='quit\n\1x', capture_output=True, text=True, timeout=allow(60), cwd=folder,
                                    env=ENVIRONMENT, errors='replace')
        except subprocess.TimeoutExpired:
            return f'{arguments}: does not end'
    if result.returncode not in (0, 1) or 'Sanitizer' in result.stderr or 'runtime error' in result.stderr:
        return f'{arguments}: status {result.returncode}\n{result.stderr}'
    if result.returncode == 1 and 'kaso' not in result.stderr:
        return f'{arguments}: status 1 without a word'
    return None


def ask(*arguments):
    return subprocess.run([KASO, *arguments], capture_output=True, text=True, timeout=allow(60), check=True).stdout


def names(option):
    """The types that `-option help` lists."""
    return [line.split()[0] for line in ask(option, 'help').splitlines()
            if line and not line.startswith(' ') and not line.split('-')[0].rstrip().endswith(':') and ':' not in line.split()[0]
            and not re.match(r'(Available|Supported|List|Accelerators|Features)\b', line)]


def devices():
    return re.findall(r'^name "([^"]+)"', ask('-device', 'help'), re.M)


def properties(*arguments):
    return re.findall(r'^  (\S+)=<([^>]+)>\s+- (.*)$', ask(*arguments), re.M)


def values(kind, summary):
    choices = re.search(r'\(([^()]+\|[^()]+)\)', summary)
    if kind == 'enum' and choices:
        return [*choices[1].split('|'), 'nonsense']
    return VALUES.get(kind, ['0', '1', '4096', '-1', 'x'])


def settings(name, kind, summary):
    """Each value alone, strings also twice."""
    return [f'{name}={value}' for value in values(kind, summary)] + ([f'{name}=first,{name}=second'] if kind == 'str' else [])


TURN = itertools.count()


def runs_of(properties_of_type, form):
    """form(text): the arguments that give `text`, a list of settings."""
    for found in properties_of_type:
        texts = settings(*found)
        for text in texts if THOROUGH else [texts[next(TURN) % len(texts)]]:
            yield form(text)


class Options(unittest.TestCase):
    def check(self, runs):
        runs = list(runs)
        self.assertGreater(len(runs), 0)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for failure in pool.map(run, runs):
                self.assertIsNone(failure, failure)

    def test_accelerators(self):
        for name in ['tcg']:
            self.check(runs_of(properties('-accel', f'{name},help'),
                               lambda text, name=name: [*VIRT, '-accel', f'{name},{text}']))
            # the board takes the accelerator from the first that is given
            self.check(runs_of(properties('-accel', f'{name},help'),
                               lambda text, name=name: ['-accel', f'{name},{text}', *VIRT]))

    def test_machines(self):
        for name in ['virt', 'none']:
            found = properties('-M', f'{name},help')
            if found:
                self.check(runs_of(found, lambda text, name=name: [*VIRT, '-M', f'{name},{text}']))

    def test_cpus(self):
        self.check(runs_of(properties('-cpu', 'max,help'), lambda text: [*VIRT, '-cpu', f'max,{text}']))

    def test_devices(self):
        runs, tried = [], set()
        for name in devices():
            if 'transitional' in name:
                continue # the properties are those of the plain one
            found = [one for one in properties('-device', f'{name},help') if THOROUGH or one not in tried]
            tried.update(found)
            needed = next((',' + text for stem, text in NEEDED.items() if name.startswith(stem)), '')
            runs += runs_of(found, lambda text, name=name, needed=needed: [*VIRT, *SURROUNDINGS, '-device', f'{name}{needed},{text}'])
        self.check(runs)

    def test_back_ends(self):
        runs = []
        for option in ['-chardev', '-netdev', '-object']:
            for name in names(option):
                needed = {'memory-backend-ram': ',size=64M', 'memory-backend-memfd': ',size=64M',
                          'memory-backend-file': ',size=64M', 'file': ',path=f', 'mux': ',chardev=c0'}.get(name, '')
                for text in runs_of(properties(option, f'{name},help'), lambda text: text.replace('wait=on', 'wait=off')):
                    runs.append([*VIRT, '-chardev', 'null,id=c0', option, f'{name},id=x{needed},{text}'])
        self.check(runs)

    def test_every_option(self):
        """Each option alone, with and without a display and its consoles; with nothing, nonsense and much for an argument."""
        elsewhere = ('-daemonize', '-chroot', '-runas', '-print-command')
        found = [option for option in re.findall(r'^(-\S+)(?: (.*))?$', ask('-h'), re.M) if option[0] not in elsewhere]
        self.assertGreater(len(found), 100)
        runs = []
        for place in [['-nographic'], ['-display', 'none', '-monitor', 'stdio']]:
            for name, argument in found:
                if name == '-nodefaults' and place == ['-nographic']:
                    continue # nobody is there to end it
                texts = ['', 'x', ',', 'help', '=,=', 'a=b,c', 'y' * 5000] if argument else []
                given = texts if THOROUGH or not texts else [texts[next(TURN) % len(texts)]]
                for words in [[name, text] for text in given] or [[name]]:
                    runs.append(['-M', 'virt', '-accel', 'tcg,interp=on', '-m', '64', '-S', *place, *words])
        self.check(runs)

    def test_not_yet(self):
        """A name that is listed as not built must not be there."""
        with open(os.path.join(os.path.dirname(__file__), '../../machine/device-not-yet.c'), encoding='utf-8') as source:
            rows = [text for text in re.findall(r'"([^"]*)"', source.read()) if not text.startswith('use ')]
        listed = set(' '.join(rows).split())
        self.assertGreater(len(listed), 300)
        self.assertEqual(listed & set(devices()), set())
        for name in ['vhost-scsi', 'igb', 'usb-ccid', 'cortex-a9-arm-cpu']:
            result = subprocess.run([KASO, *VIRT, '-device', name], capture_output=True, text=True, timeout=allow(60), check=False)
            self.assertIn(f"not yet: device '{name}' is not built", result.stderr)
            self.assertNotIn('did you mean', result.stderr)


if __name__ == '__main__':
    unittest.main()

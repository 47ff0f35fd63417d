#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_sound_backends.py KASO BACKEND: the PC's speaker sounds for two seconds through a back end; what comes out on the host's side has
its frequency. BACKEND is wav, sdl (SDL's driver "disk"), alsa (its plug-ins "file" and "null"), or pa (a server that the test starts,
and takes away in the middle). Exit status 77: the host has not what it takes."""
import array
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

RATE = 44100
HZ = 1193182 / 2706
SKIP = 77
ASOUNDRC = 'pcm.tofile { type file slave.pcm null file "%s" format raw }\n'


def skip(why):
    print('skipped:', why)
    sys.exit(SKIP)


def frequency(samples, rate):
    """Of the left channel, and how long it sounds, whatever pauses a busy host has brought."""
    left = samples[0::2]
    middle = (max(left) + min(left)) / 2
    rises = [i for i in range(1, len(left)) if left[i - 1] < middle <= left[i]]
    steps = [b - a for a, b in zip(rises, rises[1:]) if abs((b - a) * HZ / rate - 1) < 0.2]
    assert len(steps) > 100, f'{len(steps)} periods'
    return rate * len(steps) / sum(steps), sum(steps) / rate


class Machine:
    """Its firmware only waits: the speaker is the monitor's."""

    def __init__(self, kaso, audiodev, environment, folder):
        with open(f'{folder}/bios', 'wb') as file:
            file.write((b'\xf4' * 0xfff0 + b'\xf4\xeb\xfd').ljust(0x10000, b'\xf4'))
        self.process = subprocess.Popen(
            [kaso, '-M', 'pc,pcspk-audiodev=a', '-nodefaults', '-display', 'none', '-monitor', 'stdio', '-bios', f'{folder}/bios', '-audiodev', audiodev],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment})
        text = ''
        while not text.endswith('(qemu) '):
            text += self.process.stdout.read(1)
            assert self.process.poll() is None, text

    def say(self, *lines):
        for line in lines:
            self.process.stdin.write(line + '\n')
        self.process.stdin.flush()

    def speaker(self, on):
        if on:
            self.say('o /b 0x43 0xb6', 'o /b 0x42 0x92', 'o /b 0x42 0x0a')
        self.say('o /b 0x61 ' + ('3' if on else '0'))

    def end(self):
        output, _ = self.process.communicate('info audiodev\nquit\n', timeout=allow(60))
        assert self.process.returncode == 0, output
        return output


def check(path, seconds, rate=RATE):
    with open(path, 'rb') as file:
        data = file.read()
    if data[:4] == b'RIFF':
        assert int.from_bytes(data[24:28], 'little') == rate, data[:44]
        assert int.from_bytes(data[40:44], 'little') == len(data) - 44, data[:44]
        data = data[44:]
    samples = array.array('h')
    samples.frombytes(data[:len(data) // 4 * 4])
    hz, length = frequency(samples, rate)
    print(f'{hz:.2f} Hz for {length:.2f} s')
    assert abs(hz - HZ) < 3, hz
    assert length > seconds / 3, length


def start_server(folder):
    if not shutil.which('pulseaudio') or not shutil.which('parec'):
        skip('no pulseaudio')
    environment = {'HOME': folder, 'XDG_RUNTIME_DIR': folder, 'PULSE_SERVER': f'unix:{folder}/socket'}
    server = subprocess.Popen(
        ['pulseaudio', '-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no', '--log-target=null',
         '-L', 'module-null-sink sink_name=null', '-L', f'module-native-protocol-unix socket={folder}/socket auth-anonymous=1'],
        env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if os.path.exists(f'{folder}/socket'):
            return server, environment
        time.sleep(0.1)
    server.kill()
    skip('pulseaudio does not start')


def pulse(kaso, folder):
    server, environment = start_server(folder)
    path = f'{folder}/sound'
    try:
        recorder = subprocess.Popen(['parec', '-d', 'null.monitor', '--rate=44100', '--channels=2', '--format=s16le', path],
                                    env={**os.environ, **environment})
        machine = Machine(kaso, 'pa,id=a', environment, folder)
        machine.speaker(True)
        time.sleep(2.5)
        machine.speaker(False)
        time.sleep(0.3)
        recorder.terminate()
        recorder.wait()
        check(path, 2)
        machine.speaker(True)
        time.sleep(0.5)
    finally:
        server.kill()
        server.wait()
    time.sleep(1)
    output = machine.end()
    assert len(re.findall('the guest runs on without this sound', output)) == 1, output
    assert re.search(r'speaker: running', output), output


def run(kaso, backend, folder):
    path = f'{folder}/sound'
    audiodev, environment = {
        'wav': (f'wav,id=a,path={path}', {}),
        'sdl': ('sdl,id=a', {'SDL_AUDIODRIVER': 'disk', 'SDL_DISKAUDIOFILE': path}),
        'alsa': ('alsa,id=a,out.dev=tofile', {'HOME': folder}),
    }[backend]
    if backend == 'alsa':
        with open(f'{folder}/.asoundrc', 'w', encoding='ascii') as file:
            file.write(ASOUNDRC % path)
    machine = Machine(kaso, audiodev, environment, folder)
    machine.say(f'wavcapture {path}.captured a 32000', f'wavcapture {path}.short a', 'stopcapture 1', 'info capture', 'stopcapture 1')
    machine.speaker(True)
    time.sleep(2)
    machine.speaker(False)
    time.sleep(0.3)
    output = machine.end()
    assert f'[0]: Capturing audio(32000,16,2) to {path}.captured: ' in output, output
    assert len(re.findall('there is no capture 1', output)) == 1 and '[1]' not in output, output
    check(f'{path}.captured', 2, 32000)
    assert os.path.getsize(f'{path}.short') == 44
    assert 'speaker: running' in output or 'speaker: waiting' in output, output
    check(path, 2)


def main(kaso, backend):
    if not re.search(rf'^{backend} ', subprocess.run([kaso, '-audiodev', 'help'], capture_output=True, text=True, check=True).stdout, re.M):
        skip(f'{backend} is not built in')
    with tempfile.TemporaryDirectory() as folder:
        if backend == 'pa':
            pulse(kaso, folder)
        else:
            run(kaso, backend, folder)


main(*sys.argv[1:])

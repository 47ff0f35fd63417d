# SPDX-License-Identifier: MIT
"""xdnd FILE X Y: drops a file on the window at a place of the screen, as a file manager does (XDND, version 5), by libX11."""
import ctypes
import os
import sys
import time
import urllib.parse

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

X = ctypes.CDLL("libX11.so.6")
LONG, POINTER = ctypes.c_ulong, ctypes.c_void_p
CLIENT_MESSAGE, SELECTION_REQUEST, SELECTION_NOTIFY, REPLACE = 33, 30, 31, 0


class Event(ctypes.Union):
    class Message(ctypes.Structure):
        _fields_ = [("type", ctypes.c_int), ("serial", LONG), ("sent", ctypes.c_int), ("display", POINTER), ("window", LONG),
                    ("kind", LONG), ("format", ctypes.c_int), ("data", LONG * 5)]

    class Request(ctypes.Structure):
        _fields_ = [("type", ctypes.c_int), ("serial", LONG), ("sent", ctypes.c_int), ("display", POINTER), ("owner", LONG),
                    ("requestor", LONG), ("selection", LONG), ("target", LONG), ("property", LONG), ("time", LONG)]

    class Notify(ctypes.Structure):
        _fields_ = [("type", ctypes.c_int), ("serial", LONG), ("sent", ctypes.c_int), ("display", POINTER), ("requestor", LONG),
                    ("selection", LONG), ("target", LONG), ("property", LONG), ("time", LONG)]

    _fields_ = [("type", ctypes.c_int), ("message", Message), ("request", Request), ("notify", Notify), ("pad", LONG * 24)]


def function(name, result, *arguments):
    call = getattr(X, name)
    call.restype, call.argtypes = result, arguments
    return call


class Source:
    def __init__(self, file):
        i = ctypes.c_int
        self.uris = ("file://" + urllib.parse.quote(file) + "\r\n").encode()
        self.display = function("XOpenDisplay", POINTER, ctypes.c_char_p)(None)
        self.root = function("XDefaultRootWindow", LONG, POINTER)(self.display)
        self.window = function("XCreateSimpleWindow", LONG, POINTER, LONG, i, i, i, i, i, LONG, LONG)(
            self.display, self.root, 0, 0, 1, 1, 0, 0, 0)
        self.intern = function("XInternAtom", LONG, POINTER, ctypes.c_char_p, i)
        self.send_event = function("XSendEvent", i, POINTER, LONG, i, ctypes.c_long, POINTER)
        self.next_event = function("XNextEvent", i, POINTER, POINTER)
        self.pending = function("XPending", i, POINTER)
        function("XSetSelectionOwner", i, POINTER, LONG, LONG, LONG)(self.display, self.atom("XdndSelection"), self.window, 0)

    def atom(self, name):
        return self.intern(self.display, name.encode(), 0)

    def target(self, x, y):
        """The window at a place that takes drops."""
        i = ctypes.c_int
        translate = function("XTranslateCoordinates", i, POINTER, LONG, LONG, i, i, POINTER, POINTER, POINTER)
        read = function("XGetWindowProperty", i, POINTER, LONG, LONG, ctypes.c_long, ctypes.c_long, i, LONG, *[POINTER] * 5)
        window, out = self.root, [i(), i(), LONG(), LONG(), LONG(), LONG(), POINTER()]
        while window:
            kind, form, items, left, data = LONG(), i(), LONG(), LONG(), POINTER()
            read(self.display, window, self.atom("XdndAware"), 0, 1, 0, 0, *map(ctypes.byref, (kind, form, items, left, data)))
            if kind.value:
                return window
            translate(self.display, self.root, window, x, y, *map(ctypes.byref, out[:3]))
            window = out[2].value
        raise SystemExit("no window there takes drops")

    def tell(self, window, name, *data):
        event = Event()
        event.message = Event.Message(CLIENT_MESSAGE, 0, 1, self.display, window, self.atom(name), 32,
                                      (LONG * 5)(self.window, *data))
        self.send_event(self.display, window, 0, 0, ctypes.byref(event))

    def answer(self, request):
        change = function("XChangeProperty", ctypes.c_int, POINTER, LONG, LONG, LONG, ctypes.c_int, ctypes.c_int, ctypes.c_char_p,
                          ctypes.c_int)
        change(self.display, request.requestor, request.property, request.target, 8, REPLACE, self.uris, len(self.uris))
        event = Event()
        event.notify = Event.Notify(SELECTION_NOTIFY, 0, 1, self.display, request.requestor, request.selection, request.target,
                                    request.property, request.time)
        self.send_event(self.display, request.requestor, 0, 0, ctypes.byref(event))

    def wait_for(self, name):
        """Answers requests until the target says this."""
        end, event = time.monotonic() + allow(20), Event()
        while time.monotonic() < end:
            if not self.pending(self.display):
                time.sleep(0.01)
                continue
            self.next_event(self.display, ctypes.byref(event))
            if event.type == SELECTION_REQUEST:
                self.answer(event.request)
            if event.type == CLIENT_MESSAGE and event.message.kind == self.atom(name):
                return
        raise SystemExit("no " + name)


def main():
    source, (x, y) = Source(sys.argv[1]), map(int, sys.argv[2:])
    window = source.target(x, y)
    source.tell(window, "XdndEnter", 5 << 24, source.atom("text/uri-list"))
    source.tell(window, "XdndPosition", 0, x << 16 | y, 0, source.atom("XdndActionCopy"))
    source.wait_for("XdndStatus")
    source.tell(window, "XdndDrop", 0, 0)
    source.wait_for("XdndFinished")


main()

"""Sessions of python-h2 with documents that promise at the same time.

    python sessions.py ORIGIN DOCUMENTS HOW SESSIONS SEED [MOST]

DOCUMENTS is a file of paths, one a line; a session asks for 1 to MOST of them at once. HOW is one of

    read      takes every push, under windows of many sizes
    hostile   resets promises and documents, changes its settings and windows, says GOAWAY, at random moments

python-h2 refuses what RFC 9113 forbids: frames for streams in a wrong state, more data than a window has, promises that
were switched off. Checked besides: the order of promised ids, the streams that promises come on, streams above
MAX_CONCURRENT_STREAMS, promises after GOAWAY, frames for streams that were reset.
Prints a line for each session that failed, and {sessions, documents, pushes} at the end.
"""

import json
import random
import re
import select
import socket
import sys
import time

from h2 import config, connection, errors, events, exceptions
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

DEADLINE = 15
# How long a hostile client is hostile.
TROUBLE = 0.15
DATA, HEADERS, RST_STREAM, PUSH_PROMISE, GOAWAY = 0, 1, 3, 5, 7
END_STREAM = 1
WIDE = 1 << 20


class Failure(Exception):
    """A session that did not go as it must."""


def expected(path):
    """What the origin has at a path: its lines are numbered, and cut at the length that the path ends in."""
    length = int(path.rsplit("-", 1)[1])
    lines, size, number = [], 0, 0
    while size < length:
        line = f"{path} {number}\n"
        lines.append(line)
        size += len(line)
        number += 1
    return "".join(lines)[:length].encode()


class Response:
    """One response as it comes."""

    def __init__(self, path):
        self.path = path
        self.headers = None
        self.body = bytearray()
        self.ended = False
        self.reset_by = None

    def check(self):
        """Raises unless this is what the origin has."""
        if self.headers.get(":status") != "200":
            raise Failure(f"{self.path}: {self.headers}")
        if bytes(self.body) != expected(self.path):
            raise Failure(f"{self.path}: {len(self.body)} bytes that are not the origin's")


class Session:
    """One connection."""

    def __init__(self, origin, how, rng):
        host, port = origin.removeprefix("http://").rsplit(":", 1)
        self.authority = f"{host}:{port}"
        self.hostile = how == "hostile"
        self.rng = rng
        self.socket = socket.create_connection((host, int(port)), timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2 = connection.H2Connection(config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.streams = {}
        self.documents = []
        self.closed = False
        # Frames as they come, beside python-h2.
        self.raw = b""
        self.last_promise = 0
        self.ended = set()
        self.forgotten = set()
        self.opened = set()
        # What the server has acknowledged, and what it may not have seen yet.
        self.limit = 100
        self.limit_to_come = None
        self.settling = True
        # A PING behind each RST_STREAM and GOAWAY: what comes after its answer was sent after it was read.
        self.pings = 0
        self.behind_ping = {}
        self.over = set()
        self.left = False
        self.last_taken = 0x7FFFFFFF
        self.gone = False
        self.h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 1,
                SettingCodes.MAX_CONCURRENT_STREAMS: 100,
                SettingCodes.INITIAL_WINDOW_SIZE: rng.choice([1000, 16384, 65535, WIDE]),
            },
        )
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(rng.choice([1, 100_000, 1 << 24]))
        self.flush()

    def flush(self):
        """Sends what python-h2 has to send."""
        self.send(self.h2.data_to_send())

    def send(self, data):
        """Sends bytes. That a connection has ended is for the reader to notice, who may have more to read."""
        try:
            self.socket.sendall(data)
        except ConnectionError:
            pass

    def request(self, path):
        """Asks for a document."""
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", self.authority), (":path", path)]
        self.h2.send_headers(stream, fields, end_stream=True)
        self.streams[stream] = Response(path)
        self.documents.append(stream)

    def receive(self, wait):
        """Takes what has come, or comes within this many seconds."""
        if self.closed:
            return
        if not select.select([self.socket], [], [], wait)[0]:
            return
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return
        # A few bytes at a time: what python-h2 makes of a frame is known before the next one is looked at.
        self.raw += data
        while len(self.raw) >= 9:
            length = int.from_bytes(self.raw[:3], "big")
            if len(self.raw) < 9 + length:
                return
            frame, self.raw = self.raw[: 9 + length], self.raw[9 + length :]
            if self.look(frame):
                for event in self.h2.receive_data(frame):
                    self.handle(event)
        self.flush()

    def look(self, frame):
        """Checks a frame as it is on the wire; returns whether python-h2 can take it."""
        kind, flags = frame[3], frame[4]
        stream = int.from_bytes(frame[5:9], "big") & 0x7FFFFFFF
        if kind == GOAWAY:
            # python-h2 takes the connection to be closed by it, and it is not.
            self.said_goodbye(frame[9:])
            return False
        if stream in self.over:
            raise Failure(f"frame {kind} for stream {stream}, after its RST_STREAM was read")
        if kind == PUSH_PROMISE:
            at = 10 if flags & 8 else 9
            promised = int.from_bytes(frame[at : at + 4], "big") & 0x7FFFFFFF
            if promised % 2 or promised <= self.last_promise:
                raise Failure(f"promise {promised} after {self.last_promise}")
            self.last_promise = promised
            if stream not in self.documents or stream in self.ended:
                raise Failure(f"promise {promised} on stream {stream}, which is not open")
            if self.gone:
                raise Failure(f"promise {promised}, after GOAWAY was read")
            if self.streams[stream].reset_by:
                # python-h2 forgets it, and takes its response for a request of the server.
                self.forgotten.add(promised)
        if kind == HEADERS and stream % 2 == 0 and stream not in self.opened:
            self.opened.add(stream)
            known = self.streams.get(stream)
            if known and known.reset_by is None:
                limit = max(self.limit, self.limit if self.limit_to_come is None else self.limit_to_come)
                # What its GOAWAY left out is no concern of the server's any more.
                is_open = [
                    s
                    for s in self.opened - self.ended
                    if s <= self.last_taken and s in self.streams and not self.streams[s].reset_by
                ]
                if len(is_open) > limit:
                    raise Failure(f"{len(is_open)} pushes are open, {limit} are allowed")
        if kind in (DATA, HEADERS) and flags & END_STREAM or kind == RST_STREAM:
            self.ended.add(stream)
        if stream not in self.forgotten:
            return True
        if kind == HEADERS:
            self.h2.decoder.decode(frame[9:])
        elif kind == DATA and len(frame) > 9:
            self.h2.increment_flow_control_window(len(frame) - 9)
        return False

    def said_goodbye(self, payload):
        """Checks the server's GOAWAY: only after the client's own, and with all its requests."""
        last, code = int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")
        if code or not self.left or last < max(self.documents):
            raise Failure(f"GOAWAY with {code}, last stream {last}: {payload[8:]}")

    def handle(self, event):
        """Notes what python-h2 made of a frame."""
        stream = getattr(event, "stream_id", None)
        response = self.streams.get(stream)
        if isinstance(event, events.PushedStreamReceived):
            request = dict(event.headers)
            if request.get(":method") != "GET" or request.get(":authority") != self.authority:
                raise Failure(f"promise of {request}")
            self.streams[event.pushed_stream_id] = Response(request[":path"])
        elif isinstance(event, events.ResponseReceived):
            response.headers = dict(event.headers)
        elif isinstance(event, events.DataReceived):
            response.body += event.data
            self.open_windows(stream, event.flow_controlled_length)
        elif isinstance(event, events.StreamEnded):
            response.ended = True
        elif isinstance(event, events.StreamReset):
            if response and not response.reset_by:
                response.reset_by = "server"
                if not self.hostile:
                    raise Failure(f"{response.path} is reset: {event.error_code}")
        elif isinstance(event, events.SettingsAcknowledged):
            self.settling = False
            if self.limit_to_come is not None:
                self.limit, self.limit_to_come = self.limit_to_come, None
        elif isinstance(event, events.PingAckReceived):
            what = self.behind_ping.pop(bytes(event.ping_data), None)
            if what == "goaway":
                self.gone = True
            elif what is not None:
                self.over.add(what)

    def open_windows(self, stream, length):
        """Gives back what has come; a stream's now and then only later, when less than half is left."""
        if length:
            self.h2.increment_flow_control_window(length)
            self.widen(stream, length if self.h2.local_settings.initial_window_size else 0)

    def widen(self, stream, length):
        """Opens the window of a stream, if it still has one."""
        if length:
            try:
                self.h2.increment_flow_control_window(length, stream_id=stream)
            except (exceptions.StreamClosedError, exceptions.NoSuchStreamError):
                pass

    def ping(self, behind):
        """Sends a PING behind something."""
        self.pings += 1
        data = self.pings.to_bytes(8, "big")
        self.behind_ping[data] = behind
        self.h2.ping(data)

    def reset(self, stream):
        """Resets a stream that has not ended."""
        self.streams[stream].reset_by = "client"
        self.h2.reset_stream(stream, self.rng.choice([errors.ErrorCodes.CANCEL, errors.ErrorCodes.REFUSED_STREAM]))
        self.ping(stream)

    def change(self, settings):
        """Changes settings, when the last change is acknowledged."""
        if not self.settling:
            self.settling = True
            self.limit_to_come = settings.get(SettingCodes.MAX_CONCURRENT_STREAMS)
            self.h2.update_settings(settings)

    def living(self, even):
        """Streams that have neither ended nor been reset: promises, or documents."""
        return [
            stream
            for stream, response in self.streams.items()
            if (stream % 2 == 0) == even and not response.ended and not response.reset_by
        ]

    def trouble(self):
        """Does one thing that a client may do."""
        rng = self.rng
        promises, documents = self.living(True), self.living(False)
        reserved = [stream for stream in promises if stream not in self.opened]
        act = rng.randrange(10)
        resets = sum(response.reset_by == "client" for response in self.streams.values())
        if act == 0 and reserved and resets < 10:
            self.reset(rng.choice(reserved))
        elif act == 1 and promises and resets < 10:
            self.reset(rng.choice(promises))
        elif act == 2 and documents and rng.randrange(4) == 0:
            self.reset(rng.choice(documents))
        elif act == 3:
            self.change({SettingCodes.ENABLE_PUSH: rng.randrange(2)})
        elif act == 4:
            self.change({SettingCodes.MAX_CONCURRENT_STREAMS: rng.choice([0, 1, 100])})
        elif act in (5, 6):
            self.change({SettingCodes.INITIAL_WINDOW_SIZE: rng.choice([0, 0, 1, 1000, 65535, WIDE])})
        elif act == 7 and promises + documents:
            self.widen(rng.choice(promises + documents), rng.choice([1, 1000, 100_000]))
        elif act == 8 and not self.left and rng.randrange(5) == 0:
            self.left = True
            last = rng.choice([0, 2 * rng.randrange(1 + self.last_promise // 2), self.last_promise, 0x7FFFFFFE])
            self.last_taken = last
            # Not by python-h2, which takes the connection to be closed then.
            self.send(self.h2.data_to_send() + GoAwayFrame(0, last_stream_id=last).serialize())
            self.ping("goaway")
        elif act == 9:
            self.ping(None)
        self.flush()

    def calm(self):
        """Undoes what keeps responses from coming."""
        wide = {
            SettingCodes.ENABLE_PUSH: 1,
            SettingCodes.MAX_CONCURRENT_STREAMS: 100,
            SettingCodes.INITIAL_WINDOW_SIZE: WIDE,
        }
        self.change(wide)
        self.flush()

    def run(self, paths):
        """Asks for documents, and returns how many of them and of what was promised came whole."""
        begun = time.monotonic()
        for path in paths:
            self.request(path)
        self.flush()
        is_calm = not self.hostile
        if self.hostile:
            self.troubled(begun)
        while True:
            late = time.monotonic() - begun > DEADLINE
            if self.hostile and not is_calm and not self.settling:
                is_calm = True
                self.calm()
            left = [stream for stream in self.streams if stream in self.living(stream % 2 == 0)]
            documents_left = [stream for stream in left if stream % 2]
            if not documents_left and (self.left or not left):
                break
            if self.closed or late:
                names = [(s, self.streams[s].path, len(self.streams[s].body)) for s in left]
                raise Failure(f"{'the connection ended' if self.closed else 'too late'}: {names} are not there")
            self.receive(0.05)
        return self.conclude()

    def troubled(self, begun):
        """Makes trouble for a while."""
        until = begun + self.rng.random() * TROUBLE
        while time.monotonic() < until and not self.closed:
            self.receive(self.rng.choice([0, 0.001, 0.005]))
            if self.rng.randrange(2):
                self.trouble()

    def conclude(self):
        """Checks what has come."""
        whole = {True: 0, False: 0}
        named, promised = set(), []
        for stream, response in self.streams.items():
            if response.ended and not response.reset_by:
                response.check()
                whole[stream % 2 == 0] += 1
            elif stream % 2 and response.reset_by == "server":
                raise Failure(f"{response.path} was reset")
            if stream % 2 == 0:
                # One that the server gave up may be promised again.
                if response.reset_by != "server":
                    promised.append(response.path)
            elif response.headers:
                named.update(re.findall("<([^>]*)>", response.headers.get("link", "")))
        if len(promised) != len(set(promised)):
            raise Failure(f"promised twice: {sorted(promised)}")
        if not self.hostile and set(promised) != named:
            missing, more = named - set(promised), set(promised) - named
            raise Failure(f"named, not promised: {missing}; promised, not named: {more}; last {self.last_promise}")
        if not self.hostile or self.rng.randrange(2):
            self.h2.close_connection()
            self.flush()
        self.socket.close()
        return whole[False], whole[True]


def main():
    """Runs the sessions one after another."""
    origin, file, how, sessions, seed, *more = sys.argv[1:]
    most = int(more[0]) if more else 8
    with open(file, encoding="utf-8") as lines:
        paths = lines.read().split()
    seen = {"sessions": 0, "documents": 0, "pushes": 0}
    for number in range(int(sessions)):
        rng = random.Random(f"{seed} {number}")
        try:
            chosen = rng.sample(paths, rng.randint(1, most))
            documents, pushes = Session(origin, how, rng).run(chosen)
            seen["documents"] += documents
            seen["pushes"] += pushes
        except (Failure, exceptions.H2Error, OSError) as error:
            print(f"failed: python {how}, seed {seed}, session {number}: {type(error).__name__} {error}")
        seen["sessions"] += 1
    print(json.dumps(seen))


main()

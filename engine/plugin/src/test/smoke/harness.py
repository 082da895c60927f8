# SPDX-License-Identifier: Apache-2.0
"""A stub gateway and a launcher for the smoke test of the engine plugin: standard library only."""

import hashlib
import hmac
import http.server
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid

DEADLINE_S = 180


def until(what, check, deadline_s=DEADLINE_S):
    """Polls check() until it is true, and returns what it returned."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError("not within %d s: %s" % (deadline_s, what))


class StubGateway:
    """Answers registrations; verifies each MAC with the keys of the engine that calls."""

    def __init__(self):
        self.keys = {}
        self.calls = []
        self.answers = {"PUT": (200, {"warmUp": False, "heartbeatMs": 500}), "DELETE": (200, {})}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_call(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                code, answer = outer.receive(self.command, self.path, self.headers, body)
                data = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_PUT = do_DELETE = handle_call

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def receive(self, method, path, headers, body):
        ref = path.rsplit("/", 1)[1]
        signed = method.encode() + b"\n" + path.encode() + b"\n" + body
        mac = hmac.new(self.keys[ref]["register"].encode(), signed, hashlib.sha256).hexdigest()
        if headers["Authorization"] != "Roundhouse-MAC " + mac:
            return 403, {}
        self.calls.append((method, ref, json.loads(body)))
        return self.answers[method]

    def of(self, ref, method):
        return [body for m, r, body in self.calls if r == ref and m == method]


class Engine:
    """One engine under test, launched as the gateway launches it."""

    def __init__(self, gateway, spark_home, jar, python, properties=None, jars=""):
        self.gateway = gateway
        self.ref = str(uuid.uuid4())
        self.path = "/kyuubi_1_USER_SPARK_CONNECT/alice/default"
        self.dir = tempfile.mkdtemp(prefix="engine-")
        self.keys = {name: secrets.token_hex(32) for name in ("rpc", "register", "control", "zk")}
        gateway.keys[self.ref] = self.keys
        self.key_file = os.path.join(self.dir, "engine.key")
        self.log_file = os.path.join(self.dir, "engine.log")
        self._write(self.key_file, "".join("%s=%s\n" % kv for kv in self.keys.items()))
        self.launched = time.monotonic()
        conf = self._conf(properties or {}, jars)
        conf_file = os.path.join(self.dir, "spark.properties")
        self._write(conf_file, "".join("%s=%s\n" % kv for kv in conf.items()))
        argv = ["nice", os.path.join(spark_home, "bin/spark-submit"), "--properties-file", conf_file,
                "--class", "org.roundhouse.engine.ConnectEngine", jar]
        env = dict(os.environ, SPARK_HOME=spark_home, PYSPARK_PYTHON=python)
        env["PATH"] = os.path.dirname(python) + ":" + env["PATH"]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                argv, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.dir)

    def _conf(self, properties, jars):
        conf = {
            "spark.master": "local[2]",
            "spark.driver.memory": "1g",
            "spark.ui.enabled": "false",
            "spark.kyuubi.ha.engine.ref.id": self.ref,
            "spark.kyuubi.ha.namespace": self.path,
            "spark.kyuubi.engine.key.file": self.key_file,
            "spark.kyuubi.engine.gateway.url": self.gateway.url,
            "spark.kyuubi.session.idle.timeout": "0",
            "spark.kyuubi.session.engine.idle.timeout": "0",
            "spark.kyuubi.session.engine.check.interval": "1000",
            "spark.kyuubi.session.engine.spark.max.initial.wait": "180000",
            "spark.kyuubi.session.engine.spark.max.lifetime": "0",
            "spark.kyuubi.engine.submit.time": str(int(time.time() * 1000)),
            "spark.kyuubi.session.engine.initialize.timeout": "180000",
        }
        if jars:
            conf["spark.jars"] = jars
        conf.update(properties)
        return conf

    @staticmethod
    def _write(path, text):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(text)

    def log(self):
        with open(self.log_file, errors="replace") as f:
            return f.read()

    def registered(self):
        """Waits for the registration; returns the node's attributes."""
        def check():
            assert self.process.poll() is None, "the engine ended:\n" + self.log()[-3000:]
            return self.gateway.of(self.ref, "PUT")
        node = until("registration", check)[0]["node"]
        self.registered_after = time.monotonic() - self.launched
        return dict(part.split("=", 1) for part in node.split(";"))

    def mac(self, node):
        text = "\n".join(["roundhouse-registration-v1", self.path, node["serverUri"],
                          node["control"], "", self.ref])
        return hmac.new(self.keys["register"].encode(), text.encode(), hashlib.sha256).hexdigest()

    def control(self, node, method, path, body=None, key=None):
        request = urllib.request.Request(
            "http://%s%s" % (node["control"], path), method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer " + (key or self.keys["control"])})
        try:
            with urllib.request.urlopen(request, timeout=70) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as e:
            return e.code, None

    def events(self, node):
        return self.control(node, "GET", "/v1/events?after=0&waitMs=0")[1]["events"]

    def url(self, node, token=None, user="alice"):
        """The line for PySpark, which sends a token without TLS to the name localhost only."""
        return "sc://localhost:%s/;user_id=%s;token=%s" % (
            node["sparkConnectPort"], user, token or self.keys["rpc"])

    def end(self):
        """Ends what is left of the engine; only for clean-up."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

# SPDX-License-Identifier: Apache-2.0
"""Smoke test of the engine plugin on a real Spark, with a stub gateway.

usage: smoke.py <SPARK_HOME> <plugin jar> <python with PySpark> [case ...]
"""

import os
import subprocess
import sys
import tempfile
import time

from harness import Engine, StubGateway, until
from zookeeper import GATEWAYS, ZooKeeper, digest

HERE = os.path.dirname(os.path.abspath(__file__))


class World:
    """What every case needs; a case gets it and may launch engines."""

    def __init__(self, spark_home, jar, python):
        self.spark_home, self.jar, self.python = spark_home, jar, python
        self.gateway = StubGateway()
        self.engines = []
        self.clients = []
        self.servers = []

    def engine(self, properties=None, jars=""):
        engine = Engine(self.gateway, self.spark_home, self.jar, self.python, properties, jars)
        self.engines.append(engine)
        return engine

    def client(self, function, url, argument="0"):
        """Starts a PySpark program."""
        client = subprocess.Popen(
            [self.python, os.path.join(HERE, "clients.py"), function, url, argument],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.clients.append(client)
        return client

    def done(self, client):
        out = client.communicate(timeout=120)[0]
        assert client.returncode == 0, out
        return out

    def close(self):
        for client in self.clients:
            client.kill()
        for engine in self.engines:
            engine.end()
        for server in self.servers:
            server.end()
        self.gateway.server.shutdown()


def exit_code(engine, deadline_s=120):
    return engine.process.wait(timeout=deadline_s)


def stop_reasons(engine):
    return [d["reason"] for d in engine.gateway.of(engine.ref, "DELETE")]


def session_events(engine, node):
    return [(e["type"], e["reason"]) for e in engine.events(node) if e["sessionId"]]


def asked_while_used(engine, node):
    """How often the engine wanted to leave although a session was open."""
    times = {e["type"]: e["timeMs"] for e in engine.events(node) if e["sessionId"]}
    return len([d for d in engine.gateway.of(engine.ref, "DELETE")
                if times["session-opened"] < d["timeMs"] < times["session-closed"]])


def case_query(world):
    """Registers, answers, warms up, refuses a wrong token, hides its secrets, stops when told."""
    world.gateway.answers["PUT"] = (200, {"warmUp": True, "heartbeatMs": 500})
    engine = world.engine()
    node = engine.registered()
    print("  registered %.1f s after spark-submit" % engine.registered_after)
    assert node["mac"] == engine.mac(node) and node["refId"] == engine.ref, node
    assert not os.path.exists(engine.key_file)
    until("warm-up", lambda: "Warmed up in" in engine.log())
    print("  " + [l for l in engine.log().splitlines() if "Warmed up" in l][0][-40:])
    assert engine.events(node) == [], "the warm-up was counted"
    world.done(world.client("query", engine.url(node)))
    world.done(world.client("refused", engine.url(node, token="0" * 64)))
    until("release", lambda: ("session-closed", "released") in session_events(engine, node))
    assert engine.control(node, "GET", "/v1/status", key="wrong")[0] == 401
    until("heartbeats", lambda: len(engine.gateway.of(engine.ref, "PUT")) > 2)
    assert engine.control(node, "POST", "/v1/stop", {"reason": "test"})[0] == 202
    assert exit_code(engine) == 0, engine.log()[-3000:]
    assert stop_reasons(engine) == ["stopped"]
    assert_no_secret(engine)


def case_stream(world):
    """foreachBatch works; its query keeps session and engine alive; the token is masked."""
    world.gateway.answers["DELETE"] = (409, {})
    engine = world.engine({"spark.kyuubi.session.idle.timeout": "3000",
                           "spark.kyuubi.session.engine.idle.timeout": "2000"})
    node = engine.registered()
    client = world.client("stream", engine.url(node), "12")
    internal = set()

    def watch():
        answer = engine.control(node, "GET", "/v1/status")[1]
        internal.update(s["sessionId"] for s in answer["sessions"] if s["internal"])
        busy = [s for s in answer["sessions"] if not s["internal"]]
        assert len(busy) <= 1, answer
        return client.poll() is not None
    until("the streaming client", watch)
    out = client.communicate()[0]
    assert client.returncode == 0 and "quiet over" in out, out + engine.log()[-3000:]
    print("  internal sessions seen: %d" % len(internal))
    until("release", lambda: ("session-closed", "released") in session_events(engine, node))
    assert len(session_events(engine, node)) == 2 and asked_while_used(engine, node) == 0
    world.gateway.answers["DELETE"] = (200, {})
    assert exit_code(engine) == 0 and set(stop_reasons(engine)) == {"idle"}
    assert_no_secret(engine)
    assert "***" in engine.log(), "nothing was masked: does Spark still print the token?"


def case_idle(world):
    """An idle session is closed, AnalyzePlan keeps one alive, the empty engine stops; 409 holds it."""
    world.gateway.answers["DELETE"] = (409, {})
    engine = world.engine({"spark.kyuubi.session.idle.timeout": "3000",
                           "spark.kyuubi.session.engine.idle.timeout": "2000"})
    node = engine.registered()
    world.done(world.client("analyze", engine.url(node), "8"))
    until("release", lambda: ("session-closed", "released") in session_events(engine, node))
    assert ("session-closed", "idle") not in session_events(engine, node)
    assert asked_while_used(engine, node) == 0
    holder = world.client("hold", engine.url(node), "8")
    until("idle close", lambda: ("session-closed", "idle") in session_events(engine, node))
    print("  " + world.done(holder).splitlines()[-1][:150])
    asked = len(stop_reasons(engine))
    until("asked again to leave", lambda: len(stop_reasons(engine)) > asked)
    assert engine.process.poll() is None, "it left though the gateway said 409"
    world.gateway.answers["DELETE"] = (200, {})
    started = time.monotonic()
    assert exit_code(engine) == 0 and set(stop_reasons(engine)) == {"idle"}
    print("  gone %.1f s after the gateway agreed" % (time.monotonic() - started))


def case_expired(world):
    """A session closed by a timeout of Spark's own, which the administrator set."""
    engine = world.engine({"spark.connect.session.manager.defaultSessionTimeout": "3s",
                           "spark.connect.session.manager.maintenanceInterval": "1s"})
    node = engine.registered()
    holder = world.client("hold", engine.url(node), "6")
    until("expiry", lambda: ("session-closed", "expired") in session_events(engine, node))
    print("  " + world.done(holder).splitlines()[-1][:150])


def case_unused(world):
    """An engine that nobody uses stops."""
    engine = world.engine({"spark.kyuubi.session.engine.spark.max.initial.wait": "2000"})
    engine.registered()
    assert exit_code(engine) == 0 and stop_reasons(engine) == ["unused"]


def case_hold(world):
    """A held engine waits for a session, and no longer once that one came and went."""
    engine = world.engine({"spark.kyuubi.session.engine.spark.max.initial.wait": "4000",
                           "spark.kyuubi.session.engine.idle.timeout": "4000"})
    node = engine.registered()
    assert engine.control(node, "POST", "/v1/hold", {"reason": "test", "ms": 3600000})[0] == 202
    time.sleep(8)
    assert engine.process.poll() is None and stop_reasons(engine) == []
    world.done(world.client("query", engine.url(node)))
    assert exit_code(engine) == 0 and stop_reasons(engine) == ["idle"]


def case_drain(world):
    """A drained engine serves its session to the end, then stops."""
    engine = world.engine()
    node = engine.registered()
    client = world.client("analyze", engine.url(node), "6")
    until("open", lambda: ("session-opened", "") in session_events(engine, node))
    assert engine.control(node, "POST", "/v1/drain", {"reason": "test"})[0] == 202
    until("draining", lambda: engine.control(node, "GET", "/v1/status")[1]["state"] == "draining")
    assert engine.control(node, "POST", "/v1/hold", {"ms": 60000})[0] == 409
    world.done(client)
    assert exit_code(engine) == 0 and stop_reasons(engine) == ["drained"]


def case_context(world):
    """Beside an administrator's plugin, which logs the token and ends the SparkContext: code 1."""
    with tempfile.TemporaryDirectory() as work:
        trigger = os.path.join(work, "stop")
        jar = build_admin_plugin(world, work)
        engine = world.engine({"spark.plugins": "AdminPlugin", "spark.admin.trigger": trigger}, jar)
        node = engine.registered()
        world.done(world.client("query", engine.url(node)))
        open(trigger, "w").close()
        started = time.monotonic()
        assert exit_code(engine) == 1, engine.log()[-3000:]
        print("  gone %.1f s after the SparkContext was stopped" % (time.monotonic() - started))
        assert stop_reasons(engine) == ["stopped"] and "AdminPlugin is here" in engine.log()
        assert "logged ***" in engine.log() and "printed ***" in engine.log()
        assert_no_secret(engine)


def case_signal(world):
    """SIGTERM, and refusals of the gateway, end the driver."""
    engine = world.engine()
    engine.registered()
    engine.process.terminate()
    assert exit_code(engine) == 143 and stop_reasons(engine) == ["stopped"]
    for code, expected in ((403, 1), (410, 0)):
        world.gateway.answers["PUT"] = (code, {})
        unwanted = world.engine()
        assert exit_code(unwanted) == expected, (code, unwanted.log()[-2000:])


def case_late(world):
    """A driver that starts after the initialize timeout gives up at once."""
    engine = world.engine({"spark.kyuubi.engine.submit.time": "1000"})
    assert exit_code(engine) == 1 and "no longer waits" in engine.log()
    assert engine.gateway.of(engine.ref, "PUT") == []


def case_zookeeper(world):
    """Registers in ZooKeeper; when its node is deleted it serves its session to the end."""
    server = ZooKeeper(world.spark_home)
    world.servers.append(server)
    engine = world.engine({"spark.kyuubi.ha.addresses": server.address,
                           "spark.kyuubi.ha.zookeeper.acl.gateways": digest(GATEWAYS),
                           "spark.kyuubi.ha.zookeeper.session.timeout": "4000",
                           "spark.kyuubi.engine.config.fingerprint": "f1",
                           "spark.kyuubi.session.engine.spark.max.heap.percent": "95"})
    server.open_space(engine.path, "engine-%s:%s" % (engine.ref, engine.keys["zk"]))
    name = until("the node", lambda: server.nodes(engine.path))[0]
    node = dict(part.split("=", 1) for part in name.split(";"))
    assert node["mac"] == engine.mac(node) and node["refId"] == engine.ref, node
    assert node["config"] == "f1" and len(node["sequence"]) == 10, node
    for _ in range(2):
        assert engine.control(node, "POST", "/v1/warm-up")[0] == 202
    until("warm-up", lambda: "Warmed up in" in engine.log())
    client = world.client("analyze", engine.url(node), "12")
    until("open", lambda: ("session-opened", "") in session_events(engine, node))
    server.run("delete %s/%s" % (engine.path, name))
    until("draining", lambda: engine.control(node, "GET", "/v1/status")[1]["state"] == "draining")
    assert [e["reason"] for e in engine.events(node) if e["type"] == "draining"] == ["deregistered"]
    world.done(client)
    started = time.monotonic()
    assert exit_code(engine) == 0, engine.log()[-3000:]
    print("  gone %.1f s after its last session" % (time.monotonic() - started))
    assert server.nodes(engine.path) == [] and engine.gateway.of(engine.ref, "PUT") == []
    assert engine.log().count("Warmed up in") == 1
    assert not [l for l in engine.log().splitlines() if "org.apache.zookeeper" in l or " ClientCnxn" in l]
    assert_no_secret(engine)


def build_admin_plugin(world, work):
    out = os.path.join(work, "classes")
    subprocess.run(["javac", "-proc:none", "-cp", os.path.join(world.spark_home, "jars", "*"), "-d",
                    out, os.path.join(HERE, "AdminPlugin.java")], check=True)
    jar = os.path.join(work, "admin.jar")
    subprocess.run(["jar", "--create", "--file", jar, "-C", out, "."], check=True)
    return jar


def assert_no_secret(engine):
    log = engine.log()
    for name, secret in engine.keys.items():
        assert secret not in log, "the key '%s' is in the log" % name


def main():
    spark_home, jar, python, *names = sys.argv[1:]
    cases = {n[5:]: f for n, f in globals().items() if n.startswith("case_")}
    for name in names or cases:
        print("%s: %s" % (name, cases[name].__doc__.strip()), flush=True)
        world = World(spark_home, jar, python)
        started = time.monotonic()
        try:
            cases[name](world)
        except BaseException:
            for engine in world.engines:
                print("---- log of engine %s\n%s" % (engine.ref, engine.log()[-6000:]))
            raise
        finally:
            world.close()
        print("  ok, %.1f s" % (time.monotonic() - started), flush=True)


if __name__ == "__main__":
    main()

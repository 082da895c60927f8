# SPDX-License-Identifier: Apache-2.0
"""A real ZooKeeper server from the jars of a Spark, and its command line in the role of gateways."""

import base64
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile

from harness import until

GATEWAYS = "gateways:secret"

CONF = """tickTime=500
dataDir=%s
clientPort=%d
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=srvr
"""


def digest(identity):
    """What ZooKeeper writes for user:password."""
    hashed = base64.b64encode(hashlib.sha1(identity.encode()).digest()).decode()
    return "digest:%s:%s" % (identity.split(":")[0], hashed)


class ZooKeeper:
    """One server with data of its own."""

    def __init__(self, spark_home):
        self.java = ["nice", "java", "-Xmx128m", "-cp", os.path.join(spark_home, "jars", "*")]
        self.dir = tempfile.mkdtemp(prefix="zookeeper-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = "127.0.0.1:%d" % self.port
        conf = os.path.join(self.dir, "zoo.cfg")
        with open(conf, "w") as f:
            f.write(CONF % (self.dir, self.port))
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen(
            self.java + ["org.apache.zookeeper.server.quorum.QuorumPeerMain", conf],
            stdout=self.log, stderr=self.log)
        until("ZooKeeper", self._serves)

    def _serves(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                s.sendall(b"srvr")
                return b"Mode:" in s.recv(4096)
        except OSError:
            return False

    def run(self, *commands):
        """Runs commands of ZooKeeper's own client with all rights, and returns what it printed."""
        script = "\n".join(("addauth digest " + GATEWAYS,) + commands + ("quit", ""))
        done = subprocess.run(
            self.java + ["org.apache.zookeeper.ZooKeeperMain", "-server", self.address],
            input=script, capture_output=True, text=True, timeout=120)
        return done.stdout + done.stderr

    def open_space(self, path, engine):
        """Makes an engine space in which only this engine may create nodes."""
        steps = path.strip("/").split("/")
        creates = ["create /%s '' %s:cdrwa" % ("/".join(steps[:i + 1]), digest(GATEWAYS))
                   for i in range(len(steps))]
        rights = "setAcl %s %s:cdrwa,%s:c" % (path, digest(GATEWAYS), digest(engine))
        self.run(*creates, rights)

    def nodes(self, path):
        return re.findall(r"serverUri=[^\s,\]]+", self.run("ls " + path))

    def end(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

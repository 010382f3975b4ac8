# SPDX-License-Identifier: MIT
"""nginx as one of the compared servers: one worker, the TLS settings of the others, an answer from
memory. It cannot take a port of the kernel's choice and tell which, so that one is found before."""
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import time

CONFIGURATION = """
worker_processes 1;
worker_rlimit_nofile {descriptors};
daemon off;
pid {scratch}/nginx.pid;
error_log stderr crit;
{user}
events {{ worker_connections 16384; }}
http {{
    access_log off;
    server_tokens off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ecdh_curve X25519;
        ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
        default_type text/plain;
        location / {{ return 200 "{body}"; }}
    }}
}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def worker(process):
    """Its id, once there is one: the port is open by then."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(200):
        if process.poll() is not None:
            break
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.02)
    process.kill()
    raise RuntimeError("nginx does not listen")


def program():
    """Debian keeps it where only root's PATH leads."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")


def start(bench, core):
    """The process, its worker's id and its port."""
    port = free_port()
    configuration = bench.scratch / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(
        scratch=bench.scratch, port=port, certificate=bench.certificate, key=bench.key,
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        user="user root;" if os.geteuid() == 0 else "", body="0123456789abcdef" * 64))
    process = subprocess.Popen(["taskset", "-c", core, program(), "-p", bench.scratch,
                                "-e", "stderr", "-c", configuration])
    return process, worker(process), str(port)

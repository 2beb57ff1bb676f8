"""Drives the simulator with proxmoxer, a client that knows nothing of this project.

Usage: proxmoxer_client.py PORT CA_FILE TOKEN TICKET_PASSWORD. Ends with status 1 and a reason when anything is not as a
Proxmox user would expect it.
"""
import sys

from proxmoxer import ProxmoxAPI
from proxmoxer.core import ResourceException
from proxmoxer.tools import Tasks

TEMPLATE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"


def finish(api, upid, wanted="OK"):
    status = Tasks.blocking_status(api, upid, timeout=60, polling_interval=0.1)
    assert status is not None, "task %s did not end" % upid
    assert status["exitstatus"] == wanted, status
    return status


def life_of_a_container(api, node, vmid):
    lxc = api.nodes(node).lxc
    upid = lxc.create(
        vmid=vmid, ostemplate=TEMPLATE, hostname="stranger", memory=256, cores=1, rootfs="local-zfs:2",
        net0="name=eth0,bridge=vmbr0,ip=10.0.5.9/16", features="nesting=1", tags="b;a", description="hello",
    )
    assert Tasks.decode_upid(upid)["type"] == "vzcreate", upid
    finish(api, upid)
    assert [g for g in lxc.get() if int(g["vmid"]) == vmid], "not listed"
    config = lxc(vmid).config.get()
    assert config["hostname"] == "stranger" and config["memory"] == 256, config
    assert config["tags"] == "a;b" and config["description"] == "hello\n", config

    finish(api, lxc(vmid).status.start.post())
    assert lxc(vmid).status.current.get()["status"] == "running"
    addresses = {i["name"]: i.get("inet") for i in lxc(vmid).interfaces.get()}
    assert addresses["lo"] == "127.0.0.1/8", addresses

    lxc(vmid).config.put(memory=512, digest=config["digest"])
    assert lxc(vmid).config.get()["memory"] == 512
    try:
        lxc(vmid).config.put(memory=128, digest=config["digest"])
        raise AssertionError("an old digest was taken")
    except ResourceException as error:
        assert error.status_code == 500 and "modified configuration" in str(error), error

    finish(api, lxc(vmid).snapshot.post(snapname="before"))
    assert "before" in [s["name"] for s in lxc(vmid).snapshot.get()]
    finish(api, lxc(vmid).snapshot("before").rollback.post())
    finish(api, lxc(vmid).snapshot("before").delete())

    if lxc(vmid).status.current.get()["status"] == "running":
        finish(api, lxc(vmid).status.stop.post())
    log = Tasks.decode_log(api.nodes(node).tasks(upid).log.get(limit=500))
    assert "TASK OK" in log, log
    finish(api, lxc(vmid).delete())
    try:
        lxc(vmid).config.get()
        raise AssertionError("still there")
    except ResourceException as error:
        assert "does not exist" in str(error), error


def main():
    port, ca, token, password = sys.argv[1:5]
    identity, secret = token.split("=", 1)
    user, name = identity.split("!", 1)
    by_token = ProxmoxAPI("127.0.0.1", port=int(port), user=user, token_name=name, token_value=secret, verify_ssl=ca)
    by_ticket = ProxmoxAPI("127.0.0.1", port=int(port), user=user, password=password, verify_ssl=ca)
    assert by_token.version.get()["release"] == "9.1"
    nodes = sorted(n["node"] for n in by_token.nodes.get())
    assert nodes == ["pve1", "pve2"], nodes
    life_of_a_container(by_token, "pve1", int(by_token.cluster.nextid.get()))
    # The first listener passes calls on to the other node.
    life_of_a_container(by_ticket, "pve2", 777)
    finished = by_token.nodes("pve1").tasks.get(typefilter="vzdestroy")
    assert len(finished) == 1 and finished[0]["status"] == "OK", finished
    print("proxmoxer: all steps passed")


if __name__ == "__main__":
    main()

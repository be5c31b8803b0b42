"""interrupt.py SECONDS SIGNAL(INT|TERM|KILL) LOG -- COMMAND...: signal a command's main process and print how it ends.

Also prints which of its child processes are left.
"""

import os
import signal
import subprocess
import sys
import time

seconds, name, log = float(sys.argv[1]), sys.argv[2], sys.argv[3]
command = sys.argv[5:]


def fresh():
    for s in (signal.SIGINT, signal.SIGTERM):
        signal.signal(s, signal.SIG_DFL)
    os.setsid()


with open(log, "w") as output:
    p = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, preexec_fn=fresh)


def family(root):
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    out, todo = [], [str(root)]
    while todo:
        r = todo.pop()
        kids = [x for x in rows if x[1] == r]
        out += kids
        todo += [k[0] for k in kids]
    return out


end = time.time() + seconds
while time.time() < end and p.poll() is None:
    time.sleep(0.2)
kids = family(p.pid)
started = time.time()
p.send_signal(getattr(signal, "SIG" + name))
try:
    rc = p.wait(60)
except subprocess.TimeoutExpired:
    rc = "still running after 60 s"
    p.kill()
took = time.time() - started
time.sleep(4)
left = [k for k in kids if os.path.exists(f"/proc/{k[0]}")]
print(f"rc {rc} after {took:.1f} s; {len(kids)} children before, {len(left)} left")
[print("LEFT", k) for k in left]
sys.exit(0 if rc != "still running after 60 s" and not left else 1)

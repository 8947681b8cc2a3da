# A stand-in for systemd's notification socket: prints each message as one line of JSON until it is ended.
import json, os, socket, sys

path = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(path)
os.chmod(path, 0o666)
print(json.dumps({"listening": path}), flush=True)
while True:
    message = listener.recv(65536).decode()
    print(json.dumps(dict(line.split("=", 1) for line in message.split("\n") if "=" in line)), flush=True)

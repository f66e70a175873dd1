"""How a gateway in Python asks imquota before it creates a group. Needs grpcio and the generated stubs:

    python -m grpc_tools.protoc -I proto --python_out=OUT --grpc_python_out=OUT imquota/v1/imquota.proto
"""

import sys
import uuid

import grpc

from imquota.v1 import imquota_pb2 as pb
from imquota.v1 import imquota_pb2_grpc

DEADLINE_S = 0.2
ATTEMPTS = 3


class Refused(Exception):
    """The group must not be created. `code` is what the gateway's caller is told."""

    def __init__(self, answer):
        super().__init__(pb.DenyReason.Name(answer.reason))
        self.code = answer.im_error_code


class Quota:
    """One channel for the whole process: it is safe for threads, and connects again by itself."""

    def __init__(self, target):
        options = []
        if target.startswith("unix:"):
            # Without it the socket's path is sent as :authority, which HTTP/2 does not allow.
            options.append(("grpc.default_authority", "localhost"))
        self._channel = grpc.insecure_channel(target, options)
        self._stub = imquota_pb2_grpc.QuotaServiceStub(self._channel)

    def create_group(self, app_id, name, create):
        """Runs `create` if there is room; gives the place back if it fails."""
        request_id = str(uuid.uuid4())
        if not self._may_create(app_id, name, request_id):
            # No answer: whether to go on is the gateway's own policy. This one lets its user wait.
            raise ConnectionError("the quota service did not answer; try again later")
        try:
            return create(name)
        except Exception:
            # Nothing exists, so nothing is to be counted. By its name, and under an id of its own.
            release = pb.ReleaseRequest(
                app_id=app_id,
                resource=pb.RESOURCE_GROUP,
                resource_id=name,
                request_id=request_id + "-undo",
            )
            self._again(self._stub.Release, release)
            raise

    def _may_create(self, app_id, name, request_id):
        check = pb.CheckRequest(
            app_id=app_id,
            resource=pb.RESOURCE_GROUP,
            resource_id=name,
            request_id=request_id,
        )
        answer = self._again(self._stub.Check, check)
        if answer is not None and answer.decision != pb.DECISION_ALLOW:
            raise Refused(answer)
        return answer is not None

    def _again(self, call, request):
        """The answer, or None. The same request_id each time, so that it is counted once at most."""
        for _ in range(ATTEMPTS):
            try:
                return call(request, timeout=DEADLINE_S)
            except grpc.RpcError as problem:
                if problem.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
        return None


def main():
    quota = Quota(sys.argv[1])
    app_id = int(sys.argv[2])
    quota.create_group(app_id, "python-1", lambda name: print("created", name))
    try:
        quota.create_group(app_id, "python-2", fail)
    except OSError as problem:
        print("given back:", problem)
    quota.create_group(app_id, "python-3", lambda name: print("created", name))
    try:
        quota.create_group(app_id, "python-4", lambda name: print("created", name))
    except Refused as refused:
        print("refused:", refused, refused.code)


def fail(name):
    raise OSError("the disk is full")


if __name__ == "__main__":
    main()

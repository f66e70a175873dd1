"""Checks rendered manifests: schema, restricted Pods, custom resources.

manifests.py versions           the versions of Kubernetes that are checked
manifests.py check FOLDER       all of FOLDER/VERSION/*.yaml
manifests.py settings FOLDER    writes the settings file of each rendered ConfigMap beside it
manifests.py upgrade OLD NEW    whether a cluster that has the one rendering takes the other in its place
"""

import functools
import pathlib
import sys

import kubernetes_validate
import yaml

# A version's definitions are read once, not once a manifest.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)

OLDEST = (1, 29)
CUSTOM = "monitoring.coreos.com/v1"
# What an API server lets nobody change, by kind. Of a StatefulSet it is all but what is named.
FIXED = {"Deployment": ["selector"], "Service": ["clusterIP"]}
FREE_OF_STATEFUL_SET = {
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
}


def versions():
    """Every minor version that the validator ships, from the oldest that the chart serves."""
    minors = {tuple(map(int, one.split(".")[:2])) for one in kubernetes_validate.utils.all_versions()}
    return [".".join(map(str, one)) for one in sorted(minors) if one >= OLDEST]


def custom(manifest):
    """A resource of the Prometheus operator. What its models do not know they drop: nothing may be missing."""
    import cloudcoil.models.prometheus_operator.v1 as models

    model = getattr(models, manifest["kind"])
    read = model.model_validate(manifest).model_dump(mode="json", by_alias=True, exclude_unset=True)
    if read != manifest:
        raise ValueError(f"is not understood in full; understood is {read}")


def restricted(pod):
    """What the Pod Security Standard "restricted" asks for, and this chart beyond it."""
    of_pod = pod.get("securityContext", {})
    for container in pod.get("initContainers", []) + pod["containers"]:
        name, own = container["name"], container.get("securityContext", {})
        both = {**of_pod, **own}
        wanted = {
            "runAsNonRoot": both.get("runAsNonRoot") is True,
            "runAsUser": both.get("runAsUser", 0) > 0,
            "seccompProfile": both.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "memory": container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"],
            "no CPU limit": "cpu" not in container["resources"]["limits"],
            "no privilege": not own.get("privileged"),
            "no host port": not any("hostPort" in port for port in container.get("ports", [])),
            "no file mounted by itself": not any("subPath" in one for one in container.get("volumeMounts", [])),
        }
        missing = [what for what, holds in wanted.items() if not holds]
        if missing:
            raise ValueError(f"container {name}: {', '.join(missing)}")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if name == "imquota" and not isinstance(container[probe]["grpc"]["port"], int):
                raise ValueError(f"{probe}: a gRPC probe needs a port's number")
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if name == "imquota" and pod["terminationGracePeriodSeconds"] < sleep + 8:
            raise ValueError("the grace does not fit preStop and drain")
    volumes = pod.get("volumes", [])
    allowed = {"name", "configMap", "emptyDir", "secret", "projected", "downwardAPI", "persistentVolumeClaim"}
    if any(set(one) - allowed for one in volumes) or any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        raise ValueError("reaches into its host")


def manifests_of(path):
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def check(path, version):
    """All manifests of one file against one version; answers how many there were."""
    manifests = manifests_of(path)
    for manifest in manifests:
        try:
            if manifest["apiVersion"] == CUSTOM:
                custom(manifest)
            else:
                kubernetes_validate.validate(manifest, version, strict=True)
            template = manifest.get("spec", {}).get("template", {})
            if "spec" in template:
                restricted(template["spec"])
        except Exception as fault:
            sys.exit(f"{path}: {manifest['kind']} {manifest['metadata']['name']}: {fault}")
    return len(manifests)


def settings(path):
    """Writes what the ConfigMaps of one file hold; a rendering without settings is a fault."""
    maps = [one for one in manifests_of(path) if one["kind"] == "ConfigMap" and "imquota.yaml" in one["data"]]
    if len(maps) != 1:
        sys.exit(f"{path}: {len(maps)} settings files")
    path.with_suffix(".settings").write_text(maps[0]["data"]["imquota.yaml"], encoding="utf-8")


def fixed(manifest):
    """The part of a manifest that must stay as it was installed."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "StatefulSet":
        return {key: value for key, value in spec.items() if key not in FREE_OF_STATEFUL_SET}
    return {key: spec.get(key) for key in FIXED.get(manifest["kind"], [])}


def upgrade(old, new):
    """An upgrade that a cluster refuses, or that leaves the Pods and their volumes for others, is a fault."""
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in manifests_of(new)}
    for before in manifests_of(old):
        kind, name = before["kind"], before["metadata"]["name"]
        after = by_name.get((kind, name))
        if after is None:
            if kind in ("StatefulSet", "Deployment", "Service"):
                sys.exit(f"{kind} {name} is gone")
        elif fixed(before) != fixed(after):
            sys.exit(f"{kind} {name} cannot be changed from {fixed(before)} to {fixed(after)}")


def main(verb, folder=".", other="."):
    rendered = sorted(pathlib.Path(folder).glob("*/*.yaml"))
    if verb == "versions":
        print(*versions())
    elif verb == "check":
        number = sum(check(path, path.parent.name) for path in rendered)
        print(f"{number} manifests hold, of {len(rendered)} renderings")
    elif verb == "settings":
        for path in rendered:
            settings(path)
    elif verb == "upgrade":
        upgrade(pathlib.Path(folder), pathlib.Path(other))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])

{{/*
The container, the same in both forms. `name`, `image` and so on; what differs comes from the mode.
*/}}
{{- define "imquota.container" -}}
{{- $v := .Values -}}
name: imquota
image: {{ include "imquota.image" . }}
imagePullPolicy: {{ $v.image.pullPolicy }}
args: [serve, --config, /etc/imquota/imquota.yaml]
env:
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  - name: IMQUOTA_MEMBER
    value: "{{ $v.memberPrefix }}$(POD_NAME)"
  - name: IMQUOTA_WORKERS
    {{- if $v.workers }}
    value: {{ $v.workers | int | quote }}
    {{- else }}
    valueFrom:
      # Rounded up to whole cores.
      resourceFieldRef:
        resource: requests.cpu
        divisor: "1"
    {{- end }}
  - name: RUST_LOG
    value: {{ $v.logFilter | quote }}
  # For the verbs, as in: kubectl exec POD -c imquota -- /imquota members list
  - name: IMQUOTA_ENDPOINT
    value: "unix:/run/imquota/imquota.sock"
  - name: IMQUOTA_ADMIN_ENDPOINT
    value: "unix:/run/imquota/admin.sock"
  {{- with $v.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  {{- if eq $v.mode "standalone" }}
  - name: imquota-grpc
    containerPort: {{ $v.ports.grpc }}
    protocol: TCP
  {{- end }}
  - name: imquota-health
    containerPort: {{ $v.ports.health }}
    protocol: TCP
  - name: imquota-metrics
    containerPort: {{ $v.ports.http }}
    protocol: TCP
# Two minutes to read a journal; a sidecar's gateway starts when it is through.
startupProbe:
  grpc:
    port: {{ $v.ports.health }}
    service: liveness
  periodSeconds: 1
  timeoutSeconds: 1
  failureThreshold: 120
livenessProbe:
  grpc:
    port: {{ $v.ports.health }}
    service: liveness
  periodSeconds: 10
  timeoutSeconds: 2
  failureThreshold: 3
# Needs the first meeting with the ledger; a ledger that is lost later does not end it.
readinessProbe:
  grpc:
    port: {{ $v.ports.health }}
    service: readiness
  periodSeconds: 2
  timeoutSeconds: 1
  failureThreshold: 2
{{- with include "imquota.preStopSeconds" . | int }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ . }}
{{- end }}
resources:
  {{- toYaml $v.resources | nindent 2 }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $v.user }}
  runAsGroup: {{ $v.user }}
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
volumeMounts:
  # A folder, not a file: one mounted by subPath never changes.
  - name: imquota-settings
    mountPath: /etc/imquota
    readOnly: true
  - name: imquota-data
    mountPath: /var/lib/imquota
  - name: imquota-run
    mountPath: /run/imquota
  {{- if include "imquota.redisSecrets" . }}
  - name: imquota-redis
    mountPath: /etc/imquota-redis
    readOnly: true
  {{- end }}
  {{- if $v.tls.secretName }}
  - name: imquota-tls
    mountPath: /etc/imquota-tls
    readOnly: true
  {{- end }}
  {{- if and (eq $v.mode "sidecar") $v.sidecar.socket }}
  - name: imquota-gateway
    mountPath: /run/imquota-gateway
  {{- end }}
{{- end -}}

{{/* A native sidecar ends after the gateway and needs no delay. Before 1.30 nobody sleeps: no shell is in the image. */}}
{{- define "imquota.preStopSeconds" -}}
{{- $v := .Values -}}
{{- if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version -}}
{{- if eq $v.mode "standalone" -}}
{{ $v.preStopSeconds }}
{{- else if not $v.nativeSidecar -}}
{{ $v.sidecar.preStopSeconds }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Volumes that both forms have; the data folder's is not among them. */}}
{{- define "imquota.volumes" -}}
- name: imquota-settings
  configMap:
    name: {{ include "imquota.fullname" . }}
- name: imquota-run
  emptyDir:
    sizeLimit: 1Mi
{{- with include "imquota.redisSecrets" . }}
- name: imquota-redis
  projected:
    sources:
      {{- . | trim | nindent 6 }}
{{- end }}
{{- with .Values.tls.secretName }}
- name: imquota-tls
  secret:
    secretName: {{ . }}
{{- end }}
{{- end -}}

{{/* The Secrets of which the folder /etc/imquota-redis is made; empty without any. */}}
{{- define "imquota.redisSecrets" -}}
{{- with .Values.redis -}}
{{- with .passwordSecret }}{{ if .name }}
- secret:
    name: {{ .name }}
    items: [{ key: {{ .key | quote }}, path: password }]
{{- end }}{{ end }}
{{- with .sentinel.passwordSecret }}{{ if .name }}
- secret:
    name: {{ .name }}
    items: [{ key: {{ .key | quote }}, path: sentinel-password }]
{{- end }}{{ end }}
{{- if .tls.secretName }}
- secret:
    name: {{ .tls.secretName }}
    items:
      - { key: ca.crt, path: ca.crt }
      {{- if .tls.clientCertificate }}
      - { key: tls.crt, path: tls.crt }
      - { key: tls.key, path: tls.key }
      {{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "imquota.dataEmptyDir" -}}
- name: imquota-data
  emptyDir:
    sizeLimit: {{ .Values.emptyDir.sizeLimit }}
{{- end -}}

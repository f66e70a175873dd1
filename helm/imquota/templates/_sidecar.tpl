{{/*
What a gateway's own chart includes, each with the imquota chart's scope:

  {{ include "imquota.sidecar.initContainers" .Subcharts.imquota }}
*/}}

{{/* For `initContainers`; empty with nativeSidecar: false. */}}
{{- define "imquota.sidecar.initContainers" -}}
{{- include "imquota.sidecarOnly" . -}}
{{- if .Values.nativeSidecar -}}
- {{ include "imquota.container" . | nindent 2 | trim }}
  restartPolicy: Always
{{- end -}}
{{- end -}}

{{/* For `containers`; empty unless nativeSidecar: false. */}}
{{- define "imquota.sidecar.containers" -}}
{{- include "imquota.sidecarOnly" . -}}
{{- if not .Values.nativeSidecar -}}
- {{ include "imquota.container" . | nindent 2 | trim }}
{{- end -}}
{{- end -}}

{{/* For the Pod's `volumes`. */}}
{{- define "imquota.sidecar.volumes" -}}
{{ include "imquota.volumes" . }}
{{ include "imquota.dataEmptyDir" . }}
{{- if .Values.sidecar.socket }}
- name: imquota-gateway
  emptyDir:
    sizeLimit: 1Mi
{{- end }}
{{- end -}}

{{/* For the gateway container's `volumeMounts`: its side of the Unix socket; empty without. */}}
{{- define "imquota.sidecar.gatewayMounts" -}}
{{- if .Values.sidecar.socket -}}
- name: imquota-gateway
  mountPath: /run/imquota-gateway
{{- end -}}
{{- end -}}

{{/* For the Pod's annotations: other settings roll the Pods. */}}
{{- define "imquota.sidecar.podAnnotations" -}}
imquota/settings: {{ include "imquota.checksum" . }}
{{- end -}}

{{/* For the Pod's labels: by them the Pods are scraped. */}}
{{- define "imquota.sidecar.podLabels" -}}
imquota/sidecar: {{ include "imquota.fullname" . }}
{{- end -}}

{{/* Where the gateway dials: the Unix socket if there is one, else loopback. */}}
{{- define "imquota.sidecar.address" -}}
{{- if .Values.sidecar.socket -}}
unix:///run/imquota-gateway/imquota.sock
{{- else -}}
127.0.0.1:{{ .Values.ports.grpc }}
{{- end -}}
{{- end -}}

{{/* What the Pod's grace must have beyond the gateway's own drain: 8 s, and the delay of a plain container. */}}
{{- define "imquota.sidecar.drainSeconds" -}}
{{ add 8 (include "imquota.preStopSeconds" . | int) }}
{{- end -}}

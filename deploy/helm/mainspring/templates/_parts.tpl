{{/* The name of everything that belongs to this release. */}}
{{- define "mainspring.name" -}}
{{- if contains "mainspring" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-mainspring" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mainspring.selector" -}}
app.kubernetes.io/name: mainspring
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "mainspring.labels" -}}
{{ include "mainspring.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
{{- end -}}

{{- define "mainspring.claim" -}}
{{- default (printf "%s-workspace" (include "mainspring.name" .)) .Values.persistence.existingClaim -}}
{{- end -}}

{{/* Settings by value or out of a Secret; the token always out of one. */}}
{{- define "mainspring.environment" -}}
- name: MAINSPRING_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ .Values.tokenSecret | quote }}, key: token}
{{- range $name := list "database" "objects" "tables" "online" }}
{{- $value := index $.Values.settings $name }}
{{- if $value }}
- name: MAINSPRING_{{ upper $name }}
  value: {{ $value | quote }}
{{- else if $.Values.settingsSecret }}
- name: MAINSPRING_{{ upper $name }}
  valueFrom:
    secretKeyRef: {name: {{ $.Values.settingsSecret | quote }}, key: {{ $name }}, optional: true}
{{- end }}
{{- end }}
{{- end -}}

{{/* One part of the platform: a Deployment with one pod. Takes root, part, arguments, port, resources, seconds. */}}
{{- define "mainspring.deployment" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "mainspring.name" $root }}-{{ .part }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels: {{- include "mainspring.labels" . | nindent 4 }}
spec:
  # A workspace folder has one of each: the gateway holds a lock on its routes.
  replicas: 1
  strategy: {type: Recreate}
  selector:
    matchLabels: {{- include "mainspring.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "mainspring.labels" . | nindent 8 }}
        mainspring.workspace: {{ include "mainspring.name" $root }}
    spec:
      automountServiceAccountToken: false
      # Else a Service called mainspring would put variables into the environment that are no settings.
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .seconds }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile: {type: RuntimeDefault}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . | quote }}
        {{- end }}
      {{- end }}
      {{- if eq $root.Values.persistence.accessMode "ReadWriteOnce" }}
      affinity:
        podAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - topologyKey: kubernetes.io/hostname
              labelSelector:
                matchLabels: {mainspring.workspace: {{ include "mainspring.name" $root }}}
      {{- end }}
      containers:
        - name: {{ .part }}
          image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}"
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: {{- toYaml (concat (list "--workspace" "/var/lib/mainspring/workspace") .arguments) | nindent 12 }}
          env: {{- include "mainspring.environment" $root | nindent 12 }}
          {{- with $root.Values.environmentSecrets }}
          envFrom:
            {{- range . }}
            - secretRef: {name: {{ . | quote }}}
            {{- end }}
          {{- end }}
          {{- if .port }}
          ports:
            - {name: http, containerPort: {{ .port }}, protocol: TCP}
          startupProbe:
            httpGet: {path: {{ .ready }}, port: http}
            periodSeconds: 2
            failureThreshold: 60
          readinessProbe:
            httpGet: {path: {{ .ready }}, port: http}
            periodSeconds: 5
            failureThreshold: 2
          livenessProbe:
            httpGet: {path: /health, port: http}
            periodSeconds: 10
            failureThreshold: 3
          {{- end }}
          resources: {{- toYaml .resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: workspace, mountPath: /var/lib/mainspring}
            - {name: scratch, mountPath: /tmp}
      volumes:
        - name: workspace
          persistentVolumeClaim: {claimName: {{ include "mainspring.claim" $root }}}
        - name: scratch
          emptyDir: {}
{{- end -}}

{{- define "mainspring.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "mainspring.name" .root }}-{{ .part }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels: {{- include "mainspring.labels" . | nindent 4 }}
spec:
  type: ClusterIP
  selector: {{- include "mainspring.selector" . | nindent 4 }}
  ports:
    - {name: http, port: {{ .port }}, targetPort: http, protocol: TCP}
{{- end -}}

{{/* The host names that a part is asked by in the cluster, and those that were given. */}}
{{- define "mainspring.names" -}}
{{- $service := printf "%s-%s" (include "mainspring.name" .root) .part -}}
{{- range concat (list $service (printf "%s.%s" $service .root.Release.Namespace) (printf "%s.%s.svc" $service .root.Release.Namespace) (printf "%s.%s.svc.cluster.local" $service .root.Release.Namespace)) .names }}
- --name
- {{ . | quote }}
{{- end }}
{{- end -}}

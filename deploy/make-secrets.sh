#!/bin/sh
# Random secrets for docker-compose.yml in ./secrets; those that are there stay as they are.
set -eu
umask 077
folder="${1:-secrets}"
mkdir -p "$folder"
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
write() { [ -s "$folder/$1" ] || printf '%s' "$2" > "$folder/$1"; }

write database_password "$(random 32)"
write database_url "postgresql://rootstock:$(cat "$folder/database_password")@database/rootstock"
write admin_key "rs_$(random 8)_$(random 32)"
write store_access_key_id "$(random 10)"
write store_secret_access_key "$(random 32)"
write store_config "{\"identities\": [{\"name\": \"rootstock\", \"credentials\": [{\"accessKey\": \"$(cat "$folder/store_access_key_id")\", \"secretKey\": \"$(cat "$folder/store_secret_access_key")\"}], \"actions\": [\"Read:rootstock\", \"Write:rootstock\", \"List:rootstock\", \"Tagging:rootstock\"]}]}"
# Compose mounts each file with the mode it has here, and containers run as other users: the folder is what is closed.
chmod 0700 "$folder"
chmod 0444 "$folder"/*

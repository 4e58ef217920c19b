#!/bin/sh
# Makes this container a node at its first start, then becomes the agent. The identity is in the data folder's volume.
set -eu
if [ ! -e "$EDGECORE_DATA_DIR/identity.json" ]; then
    token=/var/lib/aiokubeedge/join/$NODE_NAME
    edgecore join --server https://cloudcore:10002 --node-name "$NODE_NAME" --token-file "$token" \
        --label "topology.kubernetes.io/region=$REGION" --runtime "$RUNTIME"
    rm -f "$token" # used up
fi
exec edgecore run

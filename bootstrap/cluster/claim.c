/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/claim.h"

#include "cluster/document.h"

#define WHAT "claim"

static const DocumentField fields[] = {
        DOCUMENT_STRING(Claim, cluster_name, DOCUMENT_NAME),
        DOCUMENT_STRING(Claim, cluster_id, DOCUMENT_CLUSTER_ID),
        DOCUMENT_STRING(Claim, volume_id, DOCUMENT_VOLUME_ID),
        DOCUMENT_STRING(Claim, instance_id, DOCUMENT_INSTANCE_ID),
        DOCUMENT_STRING(Claim, nonce, DOCUMENT_LABEL),
        DOCUMENT_STRING(Claim, created, DOCUMENT_TIME),
};

int claim_parse(const void *data, size_t n, Claim *ret, Error *err)
{
        json_auto_t *root = NULL;
        int r = document_parse(WHAT, data, n, CLAIM_BYTES_MAX, &root, err);
        if (r < 0) {
                return r;
        }
        Claim claim = {};
        r = document_read(WHAT, root, fields, ELEMENTS(fields), 1, &claim, err);
        if (r < 0) {
                return r;
        }
        *ret = claim;
        return 0;
}

int claim_format(const Claim *claim, Buffer *ret, Error *err)
{
        json_auto_t *root = json_pack("{s:i}", "schema", DOCUMENT_SCHEMA);
        int r = document_write(WHAT, fields, ELEMENTS(fields), claim, root, err);
        return r < 0 ? r : document_dump(root, ret, err);
}

bool claim_holder_is_gone(bool known, const char *state)
{
        return !known || streq(state, "terminated");
}

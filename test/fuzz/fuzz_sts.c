/* SPDX-License-Identifier: Apache-2.0 */
/* A proof of identity, as a stranger may write it: what is taken goes into a request's headers, so
 * it holds nothing that could end one. */
#include <stdint.h>
#include <stdlib.h>

#include "aws/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_word(const char *word)
{
        size_t n = strlen(word);
        if (n == 0 || strcspn(word, " \t\r\n,;:\"") != n) {
                abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        StsProof proof;
        Error err = {};
        if (sts_proof_parse((const char *) data, size, &proof, &err) < 0) {
                return 0;
        }
        check_word(proof.access_key_id);
        check_word(proof.date);
        check_word(proof.signature);
        check_word(proof.session_token);
        if (strlen(proof.date) != 16 || strlen(proof.signature) != 64 ||
            !sts_proof_is_fresh(&proof, proof.when)) {
                abort();
        }
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "aws/client.h"
#include "base/error.h"
#include "base/string.h"
#include "base/wait.h"

/* Proof of which instance says something, by AWS's Security Token Service.
 *
 * The prover signs a GetCallerIdentity request and does not send it. Whoever has the proof sends
 * it, and STS answers whose keys signed it; for the keys of an instance's role, the session's name
 * is the instance's id. The signature covers two headers of ours, which say what the proof is for:
 * it is worth nothing for anything else. It holds for STS in one region, and for as long as STS
 * takes the time in it. The call needs no permission, and no policy can deny it.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
 *
 * The verifier makes the request anew: address, method, body and the list of signed headers are its
 * own, so a proof cannot lead it elsewhere or leave a header out. */

/* The claim that is proven. Both texts have only letters, digits and hyphens. */
typedef struct StsClaim {
        const char *cluster_id;
        const char *request_sha256; /* of the certificate request in PEM */
} StsClaim;

#define STS_TOKEN_MAX                                                              \
        4096 /* AWS gives no limit; tokens of instances have some 1,500 characters \
              */

typedef struct StsProof {
        char access_key_id[160];
        char date[17]; /* 20260203T040506Z */
        char signature[65];
        char session_token[STS_TOKEN_MAX + 1];
        time_t when; /* date */
} StsProof;

/* Appends the proof of a claim, by this machine's credentials, to *ret as one line of text:
 * {"schema":1,"key":"ASIA…","date":"…","signature":"…","token":"…"}. It holds no secret: the
 * session token is of no use without the secret key. */
int sts_prove(AwsClient *client, const StsClaim *claim, const Wait *wait, Buffer *ret, Error *err);

/* Reads the text strictly. A text of another form is ERROR_FATAL (-EBADMSG). */
#define STS_PROOF_BYTES_MAX ((size_t) 8192)
int sts_proof_parse(const char *text, size_t n, StsProof *ret, Error *err);

/* Returns true if the proof is not older or younger than STS is sure to take it, seen from a clock
 * that differs by some seconds. */
bool sts_proof_is_fresh(const StsProof *proof, time_t now);

/* Whose keys signed: the parts of "arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION". */
typedef struct StsCaller {
        char account[16];
        char role[72];
        char session[72]; /* of an instance's role: the instance's id */
} StsCaller;

/* Asks STS whether these keys have signed the claim. Returns 1 and the caller; 0 if STS refuses the
 * proof, or the caller is no role, with the reason in ret_why. An error is no answer: to be asked
 * again. */
#define STS_REASON_MAX 160
int sts_check(AwsClient *client, const StsProof *proof, const StsClaim *claim, const Wait *wait,
              StsCaller *ret, char ret_why[STS_REASON_MAX], Error *err);

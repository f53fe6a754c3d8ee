/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "aws/sts.h"
#include "steps/nodes/nodes_internal.h"

/* The proofs of identity that requests for a first certificate carry. Whoever has a join token can
 * make requests without end, so everything that needs no call is looked at first, and STS is asked
 * a limited number of times in a look, about requests that are drawn. */

#define PROOFS_MAX 100

/* STS may fail on one proof that somebody has made for that. After this many failures in a look,
 * STS counts as not answering. */
#define SILENCES_MAX 3

static void refuse(CsrSeen *seen, CsrVerdict verdict, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static void refuse(CsrSeen *seen, CsrVerdict verdict, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(seen->reason, sizeof(seen->reason), format, ap); /* cut where too long */
        va_end(ap);
        seen->verdict = verdict;
}

static bool read_proof(const CsrSeen *seen, StsProof *ret)
{
        const char *text = csr_proof(seen->object);
        return text && sts_proof_parse(text, strlen(text), ret, ERROR_IGNORED) >= 0;
}

void nodes_look_at_proof(const NodesScene *scene, CsrSeen *seen)
{
        StsProof proof;
        if (!read_proof(seen, &proof)) {
                refuse(seen, CSR_DELETE,
                       "it carries no proof of which instance asks (the daemon of an older image "
                       "gives none)");
        } else if (*seen->csr.flaw) {
                return; /* csr_judge() denies it */
        } else if (!sts_proof_is_fresh(&proof, scene->aws_now)) {
                refuse(seen, CSR_DENY,
                       "its proof of identity has the time %s, which is too far from AWS's clock",
                       proof.date);
        } else {
                memcpy(seen->key, proof.access_key_id, sizeof(seen->key));
        }
}

/* Judges the answer of STS against the instance that EC2 knows by the requested name. */
static void judge_caller(const Boot *boot, const StsCaller *caller, CsrSeen *seen)
{
        const char *role = boot->config.node_iam_role, *id = seen->instance.instance_id;
        if (!streq(caller->account, boot->account) || !streq(caller->role, role) ||
            !streq(caller->session, id)) {
                refuse(seen, CSR_DENY,
                       "it is proven to be by %.20s:%.64s/%.32s, and %.64s is %.20s:%.64s/%.32s",
                       caller->account, caller->role, caller->session, seen->csr.node_name,
                       boot->account, role, id);
                return;
        }
        seen->verdict = CSR_APPROVE; /* the reason is csr_judge()'s */
}

/* Puts the proof to STS. Returns false if STS does not answer. */
static bool check(const Boot *boot, StepContext *context, CsrSeen *seen)
{
        StsProof proof;
        StsCaller caller;
        Error failed = {};
        char why[STS_REASON_MAX];
        const StsClaim claim = { .cluster_id = boot->cluster_id,
                                 .request_sha256 = seen->csr.sha256 };
        if (!read_proof(seen, &proof)) {
                return true; /* cannot be: it was read before */
        }
        int r = sts_check(boot->aws, &proof, &claim, step_wait(context), &caller, why, &failed);
        if (r < 0) {
                step_warn(context, "cannot check who asks for the certificate of %.64s: %.160s",
                          seen->csr.node_name, failed.message);
                return false;
        }
        if (r == 0) {
                refuse(seen, CSR_DENY, "%s", why);
        } else {
                judge_caller(boot, &caller, seen);
        }
        return true;
}

static bool is_older(const Csr *one, const Csr *other)
{
        return one->created < other->created ||
               (one->created == other->created && strcmp(one->name, other->name) < 0);
}

/* Returns true if an older request, for the same Node, was made with the same key. */
static bool is_repeated(const NodesScene *scene, const CsrSeen *seen)
{
        FOREACH_ARRAY(other, scene->csrs, scene->n_csrs) {
                if (streq(other->key, seen->key) &&
                    streq(other->csr.node_name, seen->csr.node_name) &&
                    is_older(&other->csr, &seen->csr)) {
                        return true;
                }
        }
        return false;
}

void nodes_prove(const Boot *boot, StepContext *context, NodesScene *scene, size_t first)
{
        size_t n_asked = 0, n_silent = 0;
        for (size_t i = 0; i < scene->n_csrs; i++) {
                CsrSeen *seen = &scene->csrs[(first + i) % scene->n_csrs];
                if (seen->verdict != CSR_PROVE) {
                        continue;
                }
                if (is_repeated(scene, seen)) {
                        refuse(seen, CSR_DENY, "an older request is by the same key");
                } else if (n_asked == PROOFS_MAX) {
                        refuse(seen, CSR_WAIT, "more than %d requests wait", PROOFS_MAX);
                } else if (n_silent < SILENCES_MAX) {
                        n_silent += !check(boot, context, seen);
                        n_asked++;
                }
                if (seen->verdict == CSR_PROVE) {
                        seen->verdict = CSR_WAIT; /* STS does not answer */
                }
        }
}

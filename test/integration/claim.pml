/* SPDX-License-Identifier: Apache-2.0 */

/* Who makes a cluster's secrets, and who runs its etcd: the claim, the fence and the takeover, for
 * spin (https://spinroot.com), as the steps volume-attach, secrets, elastic-ip and private-ip and
 * cluster/lineage.c do it. test_claim_model.py runs it, and then once more for each rule below with
 * that rule taken out, which spin must notice.
 *
 * Masters 1 and 2 are given one volume, master 3 another, by mistake or for a second try. Whatever
 * can go wrong does, in every order, as often as the budgets allow: a daemon is killed between any
 * two steps, an instance ends, a person detaches the volume of a master that lives or loses the
 * index, an answer of the store is lost, a request arrives long after its sender gave up or died.
 *
 * A person always says --takeover here, so that what the code leaves to a person is tried too. What
 * is believed: that S3 does a conditional write at once or not at all, that EC2 attaches a volume
 * to one instance, and that it calls none terminated that may still run.
 *
 * Kept small by what follows from the code: a volume is given a cluster id once, so its number
 * stands for the id, and the number of who wrote a claim for the volume and the id that it names. */

#ifndef CRASHES
#define CRASHES 0 /* of a daemon; systemd starts it again */
#endif
#ifndef ENDS
#define ENDS 0 /* of instances */
#endif
#ifndef DETACHED
#define DETACHED 0 /* volumes taken from an instance that has not ended */
#endif
#ifndef LOST
#define LOST 0 /* answers */
#endif
#ifndef SLIPS
#define SLIPS 0 /* indices deleted by a person or a lifecycle rule, once there is data */
#endif

#define NOBODY    0
#define VOLUME(i) ((i) == 3 -> 2 : 1) /* MASTER_VOLUME_ID */

/* --- EC2 --- */

#define RUNNING       0
#define SHUTTING_DOWN 1 /* may still write */
#define TERMINATED    2

byte ec2[4];
byte attached_to[3]; /* by volume */
byte address;        /* who has the Elastic IP and the private address */

#ifdef NO_FENCE /* Multi-Attach, which check_volume() refuses */
#define HOLDS(i) (ec2[i] != TERMINATED)
#else
#define HOLDS(i) (ec2[i] != TERMINATED && attached_to[VOLUME(i)] == (i))
#endif

/* claim_holder_is_gone() */
#if defined(TAKEOVER_UNASKED)
#define IS_GONE(i) true
#elif defined(TAKEOVER_FROM_SHUTTING_DOWN)
#define IS_GONE(i) (ec2[i] != RUNNING)
#else
#define IS_GONE(i) (ec2[i] == TERMINATED)
#endif

/* --- what a volume carries --- */

#define BLANK    0
#define PENDING  1
#define COMPLETE 2

byte identity[3];  /* its state */
byte known_ca[3];  /* generation whose CA a complete identity names */
byte etcd_data[3]; /* generation that etcd's data was begun under; 0: no data */

/* --- the bucket --- */

#define ABSENT 0
#define ANYHOW 255 /* without a condition */
#define CLAIM  1
#define INDEX  2

typedef Put {
        byte object; /* 0: none */
        byte value;  /* the claim's ETag, which tells who wrote it; the index's generation */
        byte condition
}

byte claim;          /* its ETag; 0: there is none */
byte claims[4];      /* how many each has written: no two are alike, for their nonce */
byte index;          /* generation; 0: there is none */
bool uploaded[10];   /* by generation */
Put delayed;         /* sent, not arrived yet; its sender has given up */

/* Of a claim or a generation: who wrote it. */
#define BY(x) ((((x) - 1) % 3) + 1)
/* Generations are drawn at random: here, one of the maker's that nobody knows of. */
#define IS_FRESH(g) \
        ((g) != index && (g) != trusted && (g) != etcd_data[1] && (g) != etcd_data[2] && \
         (g) != known_ca[1] && (g) != known_ca[2] && \
         !(delayed.object == INDEX && (g) == delayed.value))

/* --- what the properties look at --- */

byte trusted;   /* the last generation that a reader may have found in the index */
bool slipped;   /* a person lost the index: how to go on is for a person to say */
bool making[4]; /* a CA, between claim and index */
bool etcd_runs[4], ready[4], refused[4], killed[4];

byte crashes = CRASHES, ends = ENDS, detached = DETACHED, lost = LOST, slips = SLIPS;

#ifdef STORE_IGNORES_CONDITIONS
#define IS_MET(put, there) true
#else
#define IS_MET(put, there) (put.condition == ANYHOW || put.condition == there)
#endif

/* The store's side of s3_put(): 1, or 0 for 412. */
inline arrive(put, ret_answer)
{
        if
        :: put.object == CLAIM && IS_MET(put, claim) ->
                claim = put.value;
                ret_answer = 1
        :: put.object == INDEX && IS_MET(put, index) ->
                index = put.value;
                /* a reader may come at any moment, and trusts what it finds */
                assert(uploaded[index]);
                assert(slipped || trusted == 0 || trusted == index);
                trusted = index;
                ret_answer = 1
        :: else ->
                ret_answer = 0
        fi
}

inline clear(put)
{
        put.object = 0;
        put.value = 0;
        put.condition = 0
}

#define UNKNOWN 2

/* s3_put(): UNKNOWN where the answer is lost, after what it answers was done, or before. */
inline send(put)
{
        atomic {
                if
                :: arrive(put, answer)
                :: lost > 0 ->
                        lost--;
                        arrive(put, answer);
                        answer = UNKNOWN
                :: lost > 0 && delayed.object == 0 ->
                        lost--;
                        delayed.object = put.object;
                        delayed.value = put.value;
                        delayed.condition = put.condition;
                        answer = UNKNOWN
                fi;
                clear(put)
        }
}

/* --- a master --- */

#define SERVES(i) (etcd_runs[i] && HOLDS(i))
#define OTHERS_SERVE(i) \
        (((i) != 1 && SERVES(1)) || ((i) != 2 && SERVES(2)) || ((i) != 3 && SERVES(3)))

/* LINEAGE_BUCKET_CLAIM_OURS: this volume's, whoever wrote it */
#define CLAIM_IS_OURS \
        (saw_claim != ABSENT && VOLUME(BY(saw_claim)) == VOLUME(me) && saw_volume != BLANK)
/* claim_is_ours() */
#ifdef RESUME_IN_ANOTHERS_NAME
#define IN_OUR_NAME(claim) (VOLUME(BY(claim)) == VOLUME(me))
#else
#define IN_OUR_NAME(claim) (BY(claim) == me)
#endif

/* What a daemon that is started knows; and what one forgets that looks again. */
inline forget()
{
        making[me] = false;
        ready[me] = false;
        killed[me] = false;
        saw_volume = 0;
        saw_ca = 0;
        saw_index = 0;
        saw_claim = 0;
        saw_gone = false;
        answer = 0;
        mine = 0;
        clear(put)
}

/* The volume is gone: an I/O error, and the table is run again. */
inline need_volume()
{
        if
        :: !HOLDS(me) -> goto attach
        :: else
        fi
}

/* elastic_ip_apply(), private_ip_apply() */
inline take_addresses()
{
        atomic {
                assert(slipped || !HOLDS(me) || !OTHERS_SERVE(me));
                address = me
        }
}

/* etcd_apply(), and etcd.service, which the volume's mount must be there for */
inline start_etcd()
{
        atomic {
                need_volume();
                assert(etcd_data[VOLUME(me)] == 0 || etcd_data[VOLUME(me)] == saw_index);
                etcd_data[VOLUME(me)] = saw_index;
                etcd_runs[me] = true
        }
}

proctype Master(byte me) provided (ec2[me] != TERMINATED)
{
        byte saw_volume, saw_ca, saw_index, saw_claim; /* SecretsScene */
        bool saw_gone;
        byte answer, mine;
        Put put;

        do
        :: {
                skip; /* spin wants no label here */

attach:         /* volume_attach_apply(): ask(), or wait for the holder to let go */
                atomic {
#ifndef NO_FENCE
                        attached_to[VOLUME(me)] == me || attached_to[VOLUME(me)] == NOBODY ->
#endif
                        attached_to[VOLUME(me)] = me;
                        forget()
                }
#ifdef ADDRESSES_BEFORE_SECRETS
                take_addresses();
#endif

look:           /* look_at_volume() */
                atomic {
                        forget();
                        need_volume();
                        saw_volume = identity[VOLUME(me)];
                        saw_ca = known_ca[VOLUME(me)]
                }
                saw_index = index; /* secrets_get_index() */
                atomic {           /* look_at_claim() */
                        if
                        :: saw_index == ABSENT -> saw_claim = claim
                        :: else
                        fi
                }
                atomic { /* look_at_holder() */
                        if
                        :: saw_claim != ABSENT && !CLAIM_IS_OURS && BY(saw_claim) != me ->
                                saw_gone = IS_GONE(BY(saw_claim))
                        :: else
                        fi
                }

                /* lineage_decide() */
                atomic {
                        if
                        :: saw_index != ABSENT && saw_volume == COMPLETE && saw_index == saw_ca ->
                                goto fetch
                        :: saw_index != ABSENT && saw_volume == PENDING &&
                           VOLUME(BY(saw_index)) == VOLUME(me) ->
                                goto finish
                        :: saw_index == ABSENT && saw_volume != COMPLETE ->
                                if
                                :: saw_claim == ABSENT || CLAIM_IS_OURS || saw_gone ||
                                   BY(saw_claim) == me -> skip
                                :: else -> goto wait_for_claimant
                                fi
                        :: else ->
                                forget();
                                refused[me] = true;
                                goto stopped
                        fi
                }

                /* secrets_make(): ensure_pending() */
                atomic {
                        need_volume();
                        identity[VOLUME(me)] = PENDING
                }

                /* hold_claim(): in our own name, or the claim would end with whoever wrote it */
                if
                :: atomic { CLAIM_IS_OURS && IN_OUR_NAME(saw_claim) }
                :: atomic {
                        else ->
                        put.object = CLAIM;
                        put.value = me + 3 * claims[me];
                        claims[me]++;
#if defined(CLAIM_UNCONDITIONAL)
                        put.condition = ANYHOW
#elif defined(TAKEOVER_UNCONDITIONAL)
                        put.condition = (saw_claim == ABSENT -> ABSENT : ANYHOW)
#else
                        put.condition = saw_claim
#endif
                        };
                        send(put);
                        atomic {
                                if
#ifdef ANSWER_BELIEVED
                                :: answer == 0 -> goto look
#else
                                :: answer == UNKNOWN -> goto look
#endif
                                :: else
                                fi
                        }
                fi;
#ifndef ANSWER_BELIEVED
                atomic { /* read_back() */
                        if
                        :: claim != ABSENT && IN_OUR_NAME(claim)
                        :: else -> goto look
                        fi
                }
#endif
#if defined(STORE_IGNORES_CONDITIONS) && !defined(CONDITIONS_UNCHECKED)
                atomic { /* check_conditions() */
                        claim = me;
                        forget();
                        refused[me] = true;
                        goto stopped
                }
#endif

                atomic { /* make_files() */
                        forget();
                        making[me] = true;
                        if
                        :: IS_FRESH(me) -> mine = me
                        :: else ->
                                if
                                :: IS_FRESH(me + 3) -> mine = me + 3
                                :: else -> mine = me + 6
                                fi
                        fi;
                        assert(IS_FRESH(mine));
                        uploaded[mine] = false;
                        put.object = INDEX;
                        put.value = mine;
#ifdef INDEX_UNCONDITIONAL
                        put.condition = ANYHOW
#else
                        put.condition = ABSENT
#endif
                }
#ifdef INDEX_BEFORE_FILES
                send(put);
                uploaded[mine] = true;
#else
                uploaded[mine] = true; /* upload_files() */
                send(put);             /* publish() */
#endif
                goto look; /* whatever the answer was, what lies there counts */

wait_for_claimant:
                atomic { index != ABSENT || claim != saw_claim || IS_GONE(BY(saw_claim)) ->
                         goto look };

finish:         /* complete_identity() */
#ifdef ETCD_BEFORE_COMPLETE
                start_etcd();
#endif
                atomic {
                        need_volume();
                        identity[VOLUME(me)] = COMPLETE;
                        known_ca[VOLUME(me)] = saw_index;
                        goto look
                }

fetch:          /* secrets_install(); then the rows that need it */
#ifndef ADDRESSES_BEFORE_SECRETS
                take_addresses();
#endif
                start_etcd();
                atomic {
                        forget();
                        ready[me] = true
                }
                atomic { /* resident: idle() */
#ifdef ADDRESSES_NOT_LOOKED_AT_AGAIN
                        !HOLDS(me) -> goto attach
#else
                        !HOLDS(me) || address != me -> goto attach
#endif
                };

stopped:        /* exit status 65 or 78: systemd does not start it again */
                false
        } unless {
                atomic { killed[me] -> forget() }
        }
        od
}

/* --- what goes wrong --- */

inline end(i)
{
        atomic { ends > 0 && ec2[i] == RUNNING -> ends--; ec2[i] = SHUTTING_DOWN }
}

inline kill(i)
{
        atomic {
                crashes > 0 && ec2[i] != TERMINATED && !refused[i] && !ready[i] ->
                crashes--;
                killed[i] = true
        }
}

inline detach(v)
{
        atomic {
                detached > 0 && attached_to[v] != NOBODY && ec2[attached_to[v]] != TERMINATED ->
                detached--;
                etcd_runs[attached_to[v]] = false; /* it cannot write any more, and ends */
                attached_to[v] = NOBODY
        }
}

active proctype Failures()
{
        do
        :: end(1)
        :: end(2)
        :: end(3)
        :: kill(1)
        :: kill(2)
        :: kill(3)
        :: detach(1)
        :: detach(2)
        :: atomic {
                slips > 0 && index != ABSENT && (etcd_data[1] != 0 || etcd_data[2] != 0) ->
                slips--;
                slipped = true;
                index = ABSENT
           }
        od
}

/* --- what comes to pass --- */

inline terminate(i)
{
        atomic {
                ec2[i] == SHUTTING_DOWN ->
                ec2[i] = TERMINATED;
                making[i] = false;
                etcd_runs[i] = false;
                ready[i] = false;
                refused[i] = false;
                killed[i] = false
        }
}

inline release(v)
{
        atomic {
                attached_to[v] != NOBODY && ec2[attached_to[v]] == TERMINATED ->
                attached_to[v] = NOBODY
        }
}

active proctype Amazon()
{
        byte ignored;
        do
        :: terminate(1)
        :: terminate(2)
        :: terminate(3)
        :: release(1)
        :: release(2)
        :: atomic {
                delayed.object != 0 ->
                arrive(delayed, ignored);
                clear(delayed);
                ignored = 0
           }
        od
}

/* --- what must hold --- */

#define MAKES(i) (making[i] && HOLDS(i))
#define TWO_MAKE  ((MAKES(1) && MAKES(2)) || (MAKES(1) && MAKES(3)) || (MAKES(2) && MAKES(3)))
#define TWO_SERVE ((SERVES(1) && SERVES(2)) || (SERVES(1) && SERVES(3)) || (SERVES(2) && SERVES(3)))

/* Somebody lives who could be the master: no index, or one of his volume's. */
#define COULD(i)  (ec2[i] != TERMINATED && (index == ABSENT || VOLUME(BY(index)) == VOLUME(i)))
#define IS_IT(i)  (ready[i] && SERVES(i) && address == (i))
#define NO_MASTER ((COULD(1) || COULD(2) || COULD(3)) && !(IS_IT(1) || IS_IT(2) || IS_IT(3)))
#define LACKS(i)  (ready[i] && SERVES(i) && address != (i))
#define IS_WITHOUT_ADDRESS (LACKS(1) || LACKS(2) || LACKS(3))

active proctype Properties()
{
        if
        :: atomic { !slipped && TWO_MAKE -> assert(false) }
        :: atomic { !slipped && TWO_SERVE -> assert(false) }
#ifdef REACHED /* is no mistake: that the model comes as far as this */
        :: atomic { IS_IT(REACHED) -> assert(false) }
#endif
        /* From here on failures are over, and nothing moves any more. */
        :: atomic { timeout && !slipped && IS_WITHOUT_ADDRESS -> assert(false) }
#if DETACHED == 0 && !defined(STORE_IGNORES_CONDITIONS)
        /* whose volume a person took may have refused by what it had read before */
        :: atomic { timeout && !slipped && NO_MASTER -> assert(false) }
#endif
        fi
}

init
{
        atomic {
                attached_to[1] = 1; /* of the two, whichever is the first */
                run Master(1);
                run Master(2);
                run Master(3)
        }
}

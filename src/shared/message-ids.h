/* SPDX-License-Identifier: MIT */
#pragma once

/* MESSAGE_ID= of each event that an operator may act on. catalog/fastworker.catalog explains every one of
 * them; scripts/check-catalog compares the two. */

#define MESSAGE_CONTROLD_READY      "e6b41ad24f9b49a5a861cf919d8c3bf3"
#define MESSAGE_CONTROLD_STOPPING   "dee02c768f124213906e9a0a890f1dc9"
#define MESSAGE_SUBWORKERD_READY    "5aa54e5a5ef342f19ba6dd4d393d73de"
#define MESSAGE_SUBWORKERD_DRAINING "f27666c4f25448cc8122d4257e29930e"
#define MESSAGE_WORKER_REGISTERED   "613fc3c834b844049638486a64053bb7"
#define MESSAGE_WORKER_INACTIVE     "7f14d5d8d0a1426dbc24141c5ef35404"
#define MESSAGE_WORKER_GONE         "ce707ec986984bf99046a8a3adaaffb8"
#define MESSAGE_PEER_REFUSED        "fbce7e92f0364a589a611b4c5815965c"
#define MESSAGE_LOCAL_WORKER_FAILED "c94e0f803b1645a3b740e3f5d92430e5"
#define MESSAGE_RELOADED            "a9bebff492a947ecaf561547428e82e7"
#define MESSAGE_RELOAD_FAILED       "03cceebfd06447d7accb7caebc693fbf"
#define MESSAGE_TASK_CRASHED        "1afa25a579f447a49e0eb14ec2d6807a"
#define MESSAGE_TASK_WAITS_FOR_TYPE "e32e9a65d1124fe4aee70e8f64282059"
#define MESSAGE_LINK_LOST           "906e8e5696a847d9bc98480337895e31"
#define MESSAGE_LINK_UP             "c42f6fb0903347f7b44843e0f8aceff5"
#define MESSAGE_RUNNER_FAILED       "3462f8d9eb704341b97ab1565ed07661"
#define MESSAGE_RESULT_REFUSED      "e015af7ca3c644ee8153c4618cb169cc"
#define MESSAGE_TASK_LOG            "69d55e1f848743e49b9cb2318ce27ff3"
#define MESSAGE_LIMIT_REACHED       "f9e95de68c60450c8866a489ff00dbaa"

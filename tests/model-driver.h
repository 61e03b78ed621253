/* SPDX-License-Identifier: MIT */
#pragma once

/* Says to a coordinator without sockets what is said to the model, and lets the model hear what it says. */

#include "model.h"

uint64_t draw(uint64_t n);
/* true once in n times */
bool once_in(uint64_t n);

/* Takes the place of the coordinator's store: nothing is safe before let_store_work(). */
void slow_store_setup(void);
/* Some of what was committed becomes safe, or nothing. */
void let_store_work(void);
/* All of it, what was not committed included. */
void settle(void);
/* When what was appended until now is safe. With a real store 0: it is not known. */
uint64_t open_ticket(void);

void send_request(ModelRequest *q);
void read_all(void);
/* As far as it is not an answer: those got lost. What was handed out, was. */
void read_assignments(void);

/* --- what is drawn: model-actions.c --- */

/* A task that fits, or NULL. */
ModelTask *pick(bool (*fits)(const ModelTask *k));
bool is_known(const ModelTask *k);
bool is_unfinished(const ModelTask *k);
bool must_resend(const ModelTask *k);
void add(ModelRequest *q, const ModelTask *k);

/* The time of one in n of those that wait for it comes. */
void let_time_pass(unsigned n);
/* One thing, done by anyone; or time passes. */
void step(void);
/* The worker registers anew. An honest one names what it holds, and wants work. */
void come(unsigned w, bool is_honest);

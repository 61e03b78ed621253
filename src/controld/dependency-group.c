/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "dependency-group.h"

struct GroupPart {
        TAILQ_ENTRY(GroupPart) link;
        Group *group;
        Dependency
                *waiter; /* for it and all before it; NULL: it is gone, or this is the last part */
        uint64_t n_open;
        bool is_closed; /* all but the last */
};

struct Group {
        UT_hash_handle hh;
        TAILQ_HEAD(GroupParts, GroupPart)
        parts; /* the last one is open, the first one is not empty */
        char name[];
};

static Group *find(const Dependencies *d, const char *name) {
        Group *g;

        HASH_FIND_STR(d->groups, name, g);
        return g;
}

static int add_part(Group *g, GroupPart **ret) {
        GroupPart *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->group = g;
        TAILQ_INSERT_TAIL(&g->parts, p, link);
        *ret = p;
        return 0;
}

static void drop_part(GroupPart *p) {
        TAILQ_REMOVE(&p->group->parts, p, link);
        free(p);
}

static void drop_group(Dependencies *d, Group *g) {
        HASH_DEL(d->groups, g);
        free(g);
}

static int add_group(Dependencies *d, const char *name, Group **ret) {
        size_t size = strlen(name) + 1;
        Group *g = malloc(sizeof(*g) + size);
        GroupPart *unused;

        if (!g)
                return -ENOMEM;
        *g = (Group){};
        memcpy(g->name, name, size);
        TAILQ_INIT(&g->parts);
        if (add_part(g, &unused) < 0) {
                free(g);
                return -ENOMEM;
        }
        HASH_ADD_STR(d->groups, name, g);
        if (!g->hh.tbl) {
                drop_part(TAILQ_FIRST(&g->parts));
                free(g);
                return -ENOMEM;
        }
        *ret = g;
        return 0;
}

int group_join_again(Dependencies *d, const char *name, uint64_t sequence, GroupPart **ret) {
        Group *g = find(d, name);
        GroupPart *p;
        int r;

        if (!g) {
                r = add_group(d, name, &g);
                if (r < 0)
                        return r;
        }
        TAILQ_FOREACH(p, &g->parts, link)
                if (!p->is_closed || (p->waiter && dependency_task(p->waiter)->sequence > sequence))
                        break;
        p->n_open++;
        *ret = p;
        return 0;
}

int group_join(Dependencies *d, const char *name, GroupPart **ret) {
        return group_join_again(d, name, UINT64_MAX, ret);
}

void group_leave(Dependencies *d, GroupPart *p) {
        Group *g = p->group;

        assert(p->n_open > 0);
        p->n_open--;
        while ((p = TAILQ_FIRST(&g->parts)) && p->n_open == 0) {
                if (p->waiter)
                        dependency_group_ended(p->waiter);
                drop_part(p);
        }
        if (!p)
                drop_group(d, g);
}

int group_wait(Dependencies *d, const char *name, Dependency *waiter, GroupPart **ret) {
        Group *g = find(d, name);
        GroupPart *p, *unused;
        int r;

        *ret = NULL;
        if (!g)
                return 0;
        p = TAILQ_LAST(&g->parts, GroupParts);
        r = add_part(g, &unused);
        if (r < 0)
                return r;
        p->is_closed = true;
        p->waiter = waiter;
        *ret = p;
        return 0;
}

void group_wait_no_more(GroupPart *p) {
        p->waiter = NULL;
}

const char *group_name(const GroupPart *p) {
        return p->group->name;
}

uint64_t group_n_open(const GroupPart *p) {
        uint64_t n = 0;

        for (; p; p = TAILQ_PREV(p, GroupParts, link))
                n += p->n_open;
        return n;
}

void groups_done(Dependencies *d) {
        Group *g, *next;

        HASH_ITER(hh, d->groups, g, next) {
                GroupPart *p;

                while ((p = TAILQ_FIRST(&g->parts)))
                        drop_part(p);
                drop_group(d, g);
        }
}

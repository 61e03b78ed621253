/* SPDX-License-Identifier: MIT */

/* SipHash with 1 round a word and 3 at the end (Aumasson, Bernstein), folded to the 32 bits that uthash wants.
 * Its key is random, so that nobody can choose ids or names that all fall into one bucket. */

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "hash.h"

static uint64_t rotate(uint64_t x, int n) {
        return x << n | x >> (64 - n);
}

static void mix(uint64_t v[static 4]) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
}

static uint64_t secret[2];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

/* Without random bytes (early at boot, on an ancient kernel) the hash still works, unkeyed. */
static void make_secret(void) {
        if (getrandom(secret, sizeof(secret), GRND_NONBLOCK) < 0)
                memset(secret, 0, sizeof(secret));
}

uint32_t hash_bytes(const void *data, size_t size) {
        const uint64_t *key = secret;
        uint64_t v[4];
        const uint8_t *p = data;
        uint64_t word, result;

        (void) pthread_once(&secret_once, make_secret);
        memcpy(v,
               (const uint64_t[4]){
                       key[0] ^ UINT64_C(0x736f6d6570736575),
                       key[1] ^ UINT64_C(0x646f72616e646f6d),
                       key[0] ^ UINT64_C(0x6c7967656e657261),
                       key[1] ^ UINT64_C(0x7465646279746573),
               },
               sizeof(v));

        for (size_t left = size; left >= 8; left -= 8, p += 8) {
                memcpy(&word, p, 8);
                v[3] ^= word;
                mix(v);
                v[0] ^= word;
        }
        word = (uint64_t) size << 56;
        for (size_t i = 0; i < size % 8; i++)
                word |= (uint64_t) p[i] << (8 * i);
        v[3] ^= word;
        mix(v);
        v[0] ^= word;

        v[2] ^= 0xff;
        mix(v);
        mix(v);
        mix(v);
        result = v[0] ^ v[1] ^ v[2] ^ v[3];
        return (uint32_t) (result ^ result >> 32);
}

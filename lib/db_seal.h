/*
 * db_seal.h - a sealed store: names of records are HMACs, a value is sealed
 * together with its name, and the file's checksum is one that only the key can
 * make. All keys follow from the store key and the file's name, so that no
 * record and no file counts in another's place. Private to db.
 */
#ifndef PMPROXY_DB_SEAL_H
#define PMPROXY_DB_SEAL_H

#include "buf.h"
#include "db_sum.h"
#include "seal.h"

#define DB_SEAL_NAME_LEN 32

struct db_seal {
	int on; /* 0: the store is plain, and the rest is nothing */
	unsigned char id[SEAL_ID_LEN];
	unsigned char names[SEAL_KEY_LEN], values[SEAL_KEY_LEN];
	unsigned char sum[SEAL_KEY_LEN];
};

/* What a store may be that is found. */
enum db_seal_want {
	DB_SEAL_AS_SET, /* sealed where STORE_KEY_FILE is set, else plain */
	DB_SEAL_ANY /* to make it anew in another way */
};

/* The seal of a store that is made. 0, or -1 after logging. */
int db_seal_new(struct db_seal *, const char *path);

/*
 * The seal of a store that is there. 0, or -1 after logging that it is not as
 * it should be, and what to do.
 */
int db_seal_found(struct db_seal *, const char *path,
    const struct db_sum_found *, enum db_seal_want);

/* The name in the file of a record. */
void db_seal_name(const struct db_seal *, const char *name,
    unsigned char out[DB_SEAL_NAME_LEN]);

/* The value in the file of a record, replacing 'out'; 0, -1 no memory. */
int db_seal_record(const struct db_seal *, const char *name,
    const unsigned char at[DB_SEAL_NAME_LEN], const void *val, size_t len,
    struct buf *out);

/*
 * The name and value of what the file has there, replacing both. 0, or -1 for
 * what was not sealed like this, or without memory. Logs nothing.
 */
int db_seal_open(const struct db_seal *, const void *at, size_t at_len,
    const void *sealed, size_t len, struct buf *name, struct buf *val);

#endif

/*
 * faults.h - lets a call of lib/ to the kernel or the heap fail, for tests of
 * what then becomes of its work. Linked with --wrap, by programs that the
 * Makefile names in FAULT_TESTS.
 */
#ifndef PMPROXY_TESTS_FAULTS_H
#define PMPROXY_TESTS_FAULTS_H

/* From here on the n-th call fails, from 0, with EIO or for want of memory. */
void faults_arm(int n);
/* No call fails any more; 1 when one has failed. */
int faults_disarm(void);

/*
 * Does 'work' with each of its calls failing in turn. Before each it is told
 * to 'begin', and after each to 'judge' what 'work' returned; the last time
 * nothing fails, and 'failed' is 0. At least one has to fail. No descriptor may
 * be left open on the way.
 */
void faults_each(void (*begin)(void), int (*work)(void),
    void (*judge)(int result, int failed));

#endif

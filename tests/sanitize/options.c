/*
 * In every program that is built with a sanitizer: what is found goes to a
 * file of its own in one folder, because nobody reads the standard error of a
 * page, and a responder that ends is started anew. Built in rather than in the
 * environment, of which pages see nothing. The variables ASAN_OPTIONS and
 * TSAN_OPTIONS win over it.
 */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__ubsan_default_options(void);

#define OPTIONS "log_exe_name=1:log_path=" REPORTS "/report"

const char *
__asan_default_options(void)
{
	return OPTIONS;
}

const char *
__tsan_default_options(void)
{
	return OPTIONS;
}

const char *
__ubsan_default_options(void)
{
	return OPTIONS;
}

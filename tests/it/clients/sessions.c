/* Sessions of libcurl with documents that promise at the same time:
 *   sessions ORIGIN DOCUMENTS HOW SESSIONS SEED [MOST]
 * DOCUMENTS is a file of paths, one a line; a session asks for 1 to MOST of them at once. HOW is one of
 *   take   takes every push
 *   drop   refuses pushes, and ends documents and pushes that have begun, at random
 * Documents are those of http://shop.example, wherever ORIGIN is: libcurl 7.88 takes no promise whose authority has a
 * port.
 * Prints a line for each session that failed, and {sessions, documents, pushes} at the end.
 * Compiled by the test: cc sessions.c -lcurl
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#define DEADLINE 15
#define MOST_DOCUMENTS 1000
#define MOST_RESPONSES 200
#define MOST_BYTES (1 << 20)
#define MOST_PATH 100

/* A document, or a push, as it comes. */
struct response {
    CURL *easy;
    char path[MOST_PATH];
    int pushed;
    int done;
    int dropped;
    CURLcode result;
    size_t length;
    char *body;
};

/* One connection. */
struct session {
    CURLM *multi;
    struct curl_slist *connect_to;
    int drops;
    struct response responses[MOST_RESPONSES];
    int count;
    /* What the documents name. */
    char named[MOST_RESPONSES][MOST_PATH];
    int named_count;
    char failure[300];
};

static unsigned int state;

/* A random number below another: xorshift, 32 bits (Marsaglia 2003). */
static unsigned int below(unsigned int limit) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % limit;
}

static void fail(struct session *session, const char *path, const char *why) {
    if (!session->failure[0]) {
        snprintf(session->failure, sizeof session->failure, "%s: %s", path, why);
    }
}

/* Whether a body is the origin's: its lines are numbered, and cut at the length that the path ends in. */
static int is_whole(const struct response *response) {
    const char *path = response->path;
    const char *end = strrchr(path, '-');
    size_t length = end ? strtoul(end + 1, NULL, 10) : 0;
    if (response->length != length) {
        return 0;
    }
    size_t at = 0;
    for (int number = 0; at < length; number += 1) {
        char line[MOST_PATH + 20];
        size_t size = (size_t)snprintf(line, sizeof line, "%s %d\n", path, number);
        size_t compared = size < length - at ? size : length - at;
        if (memcmp(response->body + at, line, compared) != 0) {
            return 0;
        }
        at += compared;
    }
    return 1;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *of) {
    struct response *response = of;
    size_t length = size * count;
    if (response->length + length > MOST_BYTES) {
        return 0;
    }
    memcpy(response->body + response->length, bytes, length);
    response->length += length;
    return length;
}

/* Notes the targets of a Link header. */
static size_t on_header(char *bytes, size_t size, size_t count, void *of) {
    struct session *session = of;
    size_t length = size * count;
    char line[2000];
    if (length >= sizeof line || length < 5 || strncmp(bytes, "link:", 5) != 0) {
        return length;
    }
    memcpy(line, bytes, length);
    line[length] = 0;
    for (char *at = strchr(line, '<'); at; at = strchr(at, '<')) {
        at += 1;
        size_t target = strcspn(at, ">");
        int known = 0;
        for (int n = 0; n < session->named_count; n += 1) {
            known |= strlen(session->named[n]) == target && strncmp(session->named[n], at, target) == 0;
        }
        if (!known && target < MOST_PATH && session->named_count < MOST_RESPONSES) {
            memcpy(session->named[session->named_count], at, target);
            session->named[session->named_count][target] = 0;
            session->named_count += 1;
        }
    }
    return length;
}

/* A place for a response, with its handle set up. */
static struct response *begin(struct session *session, CURL *easy, const char *path) {
    if (session->count == MOST_RESPONSES) {
        return NULL;
    }
    struct response *response = &session->responses[session->count];
    session->count += 1;
    response->easy = easy;
    response->body = malloc(MOST_BYTES);
    snprintf(response->path, sizeof response->path, "%s", path);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, response);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, response);
    return response;
}

static int on_push(CURL *parent, CURL *easy, size_t count, struct curl_pushheaders *headers, void *of) {
    (void)parent;
    (void)count;
    struct session *session = of;
    const char *path = curl_pushheader_byname(headers, ":path");
    if (!path) {
        fail(session, "a promise", "has no path");
        return CURL_PUSH_DENY;
    }
    for (int n = 0; n < session->count; n += 1) {
        if (session->responses[n].pushed && strcmp(session->responses[n].path, path) == 0) {
            fail(session, path, "promised twice");
        }
    }
    if (session->drops && below(3) == 0) {
        return CURL_PUSH_DENY;
    }
    struct response *response = begin(session, easy, path);
    if (!response) {
        return CURL_PUSH_DENY;
    }
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, NULL);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, NULL);
    response->pushed = 1;
    return CURL_PUSH_OK;
}

static void ask(struct session *session, const char *path) {
    char url[300];
    snprintf(url, sizeof url, "http://shop.example%s", path);
    CURL *easy = curl_easy_init();
    struct response *response = begin(session, easy, path);
    if (!response) {
        abort();
    }
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, session->connect_to);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, session);
    curl_multi_add_handle(session->multi, easy);
}

/* Checks a response that has ended, and that its connection was the only one. */
static void check(struct session *session, const struct response *response) {
    long status = 0;
    curl_easy_getinfo(response->easy, CURLINFO_RESPONSE_CODE, &status);
    char why[200];
    if (response->result != CURLE_OK) {
        fail(session, response->path, curl_easy_strerror(response->result));
    } else if (status != 200) {
        snprintf(why, sizeof why, "status %ld", status);
        fail(session, response->path, why);
    } else if (!is_whole(response)) {
        snprintf(why, sizeof why, "%zu bytes that are not the origin's", response->length);
        fail(session, response->path, why);
    }
}

/* Ends one response that has begun, maybe. */
static void drop_one(struct session *session) {
    struct response *response = &session->responses[below((unsigned int)session->count)];
    if (below(4) == 0 && !response->done && !response->dropped && response->length > 0) {
        response->dropped = 1;
        curl_multi_remove_handle(session->multi, response->easy);
    }
}

static void run(struct session *session) {
    time_t begun = time(NULL);
    for (;;) {
        int running = 0;
        if (curl_multi_perform(session->multi, &running) != CURLM_OK) {
            fail(session, "curl_multi_perform", "failed");
            return;
        }
        CURLMsg *message;
        int left;
        while ((message = curl_multi_info_read(session->multi, &left))) {
            char *of = NULL;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &of);
            struct response *response = (struct response *)(void *)of;
            response->done = 1;
            response->result = message->data.result;
        }
        int waiting = 0;
        for (int n = 0; n < session->count; n += 1) {
            waiting += !session->responses[n].done && !session->responses[n].dropped;
        }
        if (!waiting) {
            return;
        }
        if (time(NULL) - begun > DEADLINE) {
            fail(session, "the session", "is not done in time");
            return;
        }
        if (session->drops) {
            drop_one(session);
        }
        curl_multi_poll(session->multi, NULL, 0, 50, NULL);
    }
}

/* Compares what was promised with what was named. */
static void conclude(struct session *session, int *documents, int *pushes) {
    int promised = 0;
    long connections = 0;
    for (int n = 0; n < session->count; n += 1) {
        struct response *response = &session->responses[n];
        long made = 0;
        curl_easy_getinfo(response->easy, CURLINFO_NUM_CONNECTS, &made);
        connections += response->pushed ? 0 : made;
        if (!response->dropped && response->done) {
            check(session, response);
            *documents += !response->pushed;
            *pushes += response->pushed;
        }
        int known = 0;
        for (int name = 0; name < session->named_count; name += 1) {
            known |= strcmp(session->named[name], response->path) == 0;
        }
        if (response->pushed && !session->drops && !known) {
            fail(session, response->path, "promised, and not named");
        }
        promised += response->pushed;
    }
    if (connections != 1) {
        fail(session, "the session", "has not one connection");
    }
    for (int name = 0; name < session->named_count && !session->drops; name += 1) {
        int known = 0;
        for (int n = 0; n < session->count; n += 1) {
            known |= session->responses[n].pushed && strcmp(session->named[name], session->responses[n].path) == 0;
        }
        if (!known) {
            fail(session, session->named[name], "named, and not promised");
        }
    }
    if (!session->drops && promised != session->named_count) {
        char why[100];
        snprintf(why, sizeof why, "%d assets are named, %d promised", session->named_count, promised);
        fail(session, "the session", why);
    }
}

int main(int argc, char **argv) {
    static char paths[MOST_DOCUMENTS][MOST_PATH];
    unsigned int known = 0;
    FILE *file = argc > 5 ? fopen(argv[2], "r") : NULL;
    if (!file || strncmp(argv[1], "http://", 7) != 0) {
        fprintf(stderr, "sessions ORIGIN DOCUMENTS HOW SESSIONS SEED [MOST]\n");
        return 2;
    }
    while (known < MOST_DOCUMENTS && fscanf(file, "%99s", paths[known]) == 1) {
        known += 1;
    }
    fclose(file);
    int sessions = atoi(argv[4]);
    unsigned int most = argc > 6 ? (unsigned int)atoi(argv[6]) : 8;
    int documents = 0;
    int pushes = 0;
    curl_global_init(CURL_GLOBAL_ALL);
    for (int number = 0; number < sessions; number += 1) {
        state = (unsigned int)(atoi(argv[5]) * 100003 + number + 1);
        for (int n = 0; n < 8; n += 1) {
            below(2);
        }
        struct session *session = calloc(1, sizeof *session);
        session->drops = strcmp(argv[3], "drop") == 0;
        char connect_to[300];
        snprintf(connect_to, sizeof connect_to, "shop.example:80:%s", argv[1] + strlen("http://"));
        session->connect_to = curl_slist_append(NULL, connect_to);
        session->multi = curl_multi_init();
        curl_multi_setopt(session->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
        curl_multi_setopt(session->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 1L);
        curl_multi_setopt(session->multi, CURLMOPT_PUSHFUNCTION, on_push);
        curl_multi_setopt(session->multi, CURLMOPT_PUSHDATA, session);
        unsigned int count = 1 + below(most);
        /* A stride that has no divisor in common with the number of paths meets none of them twice. */
        unsigned int first = below(known);
        for (unsigned int n = 0; n < count; n += 1) {
            ask(session, paths[(first + n * 7) % known]);
        }
        run(session);
        conclude(session, &documents, &pushes);
        if (session->failure[0]) {
            printf("failed: libcurl %s, seed %s, session %d: %s\n", argv[3], argv[5], number, session->failure);
        }
        for (int n = 0; n < session->count; n += 1) {
            curl_multi_remove_handle(session->multi, session->responses[n].easy);
            curl_easy_cleanup(session->responses[n].easy);
            free(session->responses[n].body);
        }
        curl_multi_cleanup(session->multi);
        curl_slist_free_all(session->connect_to);
        free(session);
    }
    printf("{\"sessions\":%d,\"documents\":%d,\"pushes\":%d}\n", sessions, documents, pushes);
    return 0;
}

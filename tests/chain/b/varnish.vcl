# Varnish with its built-in rules; tls-out.cfg takes its requests further.
vcl 4.1;

backend internal {
    .path = "@STATE@/tls-out.sock";
}

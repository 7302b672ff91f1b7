# shellcheck shell=bash
# put MODE FILE PLACE: installs a file, below DESTDIR where that is set, as root where `as_owner` says so.
# Under a name of its own first: sessions have the library of before in their memory, as it lies in its file. Whoever wrote into
# that file would end them all, and PostgreSQL with them; the name alone may go to another file.
put() {
  "${as_owner[@]}" install -D -m "$1" "$2" "${DESTDIR:-}$3.new"
  "${as_owner[@]}" mv -f "${DESTDIR:-}$3.new" "${DESTDIR:-}$3"
}

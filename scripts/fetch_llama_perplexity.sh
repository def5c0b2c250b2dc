#!/bin/sh
# llama.cpp's own llama-perplexity, from Debian's newest distribution (20 MB), below .cache: prints the
# folder to put on the PATH. Nothing of this system is changed: apt-get gets lists and folders of its own,
# and the program runs on the C library that it was built for, in bubblewrap.
set -eu
cd "$(dirname "$0")/.."
home="$PWD"
folder="$home/.cache/llama-perplexity"
program="$folder/bin/llama-perplexity"
if [ ! -x "$program" ]; then
    for needed in apt-get dpkg-deb bwrap; do
        command -v "$needed" >/dev/null || {
            echo "error: $needed is not here" >&2
            printf '\nhint: sudo apt-get install apt dpkg bubblewrap\n' >&2
            exit 3
        }
    done
    rm -rf "$folder"
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/bin"
    : >"$folder/status"
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$key] http://deb.debian.org/debian sid main" >"$folder/sources.list"
    apt() {
        apt-get -qq -o "Dir::State=$folder" -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache" \
            -o "Dir::State::status=$folder/status" -o "Dir::Etc::SourceList=$folder/sources.list" \
            -o Dir::Etc::SourceParts=/dev/null -o "APT::Sandbox::User=$(id -un)" "$@" >&2
    }
    apt update
    apt --yes --no-install-recommends --download-only install llama.cpp-tools-extra
    for package in "$folder"/cache/archives/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
    rm -rf "$folder/lists" "$folder/cache"
    libraries=$(cd "$folder/root" && find usr/lib -type d \( -name 'llama*' -o -name 'ggml*' \) | sed 's|^|/|' | tr '\n' ':')
    cat >"$program.new" <<END
#!/bin/sh
# Everything of this system as it is, to be read only, but the programs and libraries.
set -- /usr/bin/llama-perplexity "\$@"
for entry in /*; do
    case "\$entry" in
        /usr | /bin | /sbin | /lib* | /proc | /dev) ;;
        *) [ -L "\$entry" ] || set -- --ro-bind "\$entry" "\$entry" "\$@" ;;
    esac
done
exec bwrap --ro-bind "$folder/root/usr" /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin \\
    --proc /proc --dev /dev --unshare-net --die-with-parent --setenv LD_LIBRARY_PATH "$libraries" "\$@"
END
    chmod +x "$program.new"
    mv "$program.new" "$program"
fi
printf '%s\n' "$folder/bin"

#!/usr/bin/env bash
# A signed debug APK without the Android SDK: mobile/android/tools/apk.sh [MODEL.tflite]
#
# Needs a JDK, Maven, Python and Debian's aapt, zipalign and apksigner.  What Gradle builds is smaller and newer: it has
# d8 and LiteRT, this has dx and TensorFlow Lite 2.16.1, the last ones outside Google's repository.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in mvn python3 aapt zipalign apksigner keytool; do
    command -v "$tool" >/dev/null || { echo "expected $tool, received none; apt-get install aapt zipalign apksigner maven" >&2; exit 1; }
done
out=$PWD/target/apk
models=../../sentio_tf/models
model=${1:-$models/$(python3 -c 'import json, sys
registry = json.load(open(sys.argv[1]))
print(next(m["file"] for m in registry["models"] if m["name"] == registry["live"]))' "$models/registry.json")}
[ -f "$model" ] || { echo "expected a .tflite, received $model, which is no file" >&2; exit 1; }

setting() { sed -n "s/.*$1 = \"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" app/build.gradle.kts; }
artifact() { mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="$1" -DoutputDirectory="$out/tools" -Dmdep.stripVersion=true; }

rm -rf "$out"
mkdir -p "$out"/{r,assets,apk/lib}
android=$(sed -n 's:.*<android.version>\(.*\)</android.version>.*:\1:p' app/pom.xml)
artifact "org.robolectric:android-all:$android"
# Android lacks LambdaMetafactory.  This library needs it in two places that the app does not use (streams, comparators
# of several keys), the ones from 2.0 on everywhere.
artifact org.jetbrains.kotlin:kotlin-stdlib:1.9.25
artifact com.jakewharton.android.repackaged:dalvik-dx:16.0.1

cp "$model" "$out/assets/sentio.tflite"
sed "s/<manifest /<manifest package=\"$(setting namespace)\" /" app/src/main/AndroidManifest.xml >"$out/AndroidManifest.xml"
package() {
    aapt package -f -M "$out/AndroidManifest.xml" -S app/src/main/res -I "$out/tools/android-all.jar" \
        --min-sdk-version "$(setting minSdk)" --target-sdk-version "$(setting targetSdk)" \
        --version-code "$(setting versionCode)" --version-name "$(setting versionName)" --debug-mode "$@"
}
package -m -J "$out/r"
mvn -q -B -pl core,tflite,app package -Dmaven.test.skip=true -Dr.skip=true -Dr.directory="$out/r"

python3 -m zipfile -e "$out/tools/kotlin-stdlib.jar" "$out/kotlin"
rm -r "$out/kotlin/META-INF/versions" # modules of Java 9
if grep -rl LambdaMetafactory {core,app,tflite}/target/classes; then
    echo "expected classes that dx can convert, received the ones above; see -Xlambdas in pom.xml" >&2
    exit 1
fi
java -Xmx1g -cp "$out/tools/dalvik-dx.jar" com.android.dx.command.Main --dex --min-sdk-version="$(setting minSdk)" \
    --output="$out/apk/classes.dex" core/target/classes app/target/classes tflite/target/classes "$out/kotlin"
cp -r tflite/target/aar/lite/jni/. "$out/apk/lib/"
package -A "$out/assets" -0 tflite -F "$out/plain.apk"
(cd "$out/apk" && aapt add "$out/plain.apk" classes.dex lib/*/*.so >/dev/null)

zipalign -f -p 4 "$out/plain.apk" "$out/sentio-debug.apk"
keytool -genkeypair -keystore "$out/debug.keystore" -storepass android -keypass android -alias debug \
    -dname "CN=Android Debug,O=Android,C=US" -keyalg RSA -keysize 2048 -validity 10000 >/dev/null 2>&1
apksigner sign --ks "$out/debug.keystore" --ks-pass pass:android "$out/sentio-debug.apk"
apksigner verify --min-sdk-version "$(setting minSdk)" "$out/sentio-debug.apk"
echo "$out/sentio-debug.apk, $(stat -c %s "$out/sentio-debug.apk") bytes: adb install it"

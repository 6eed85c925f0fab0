import groovy.json.JsonSlurper
import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.application")
    kotlin("android")
}

android {
    namespace = "io.sentio.app"
    compileSdk = 35

    defaultConfig {
        applicationId = "io.sentio.app"
        minSdk = 26
        // From 35 on the system draws behind the bars; the framework's action bar was not made for it.
        targetSdk = 34
        versionCode = 1
        versionName = "0.1.0"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }

    // Models are copied in one piece and do not get smaller.
    androidResources.noCompress += "tflite"

    sourceSets["main"].assets.srcDir(layout.buildDirectory.dir("model"))
}

kotlin.compilerOptions.jvmTarget.set(JvmTarget.JVM_1_8)

dependencies {
    implementation(project(":core"))
    implementation("com.google.ai.edge.litert:litert:1.4.2")
}

// The model that ships, or another one: ./gradlew :app:installDebug -Pmodel=/path/to/mine.tflite
val copyModel by tasks.registering(Copy::class) {
    val models = rootDir.resolve("../../sentio_tf/models")
    val given = providers.gradleProperty("model").orNull
    from(given?.let(::file) ?: shippedModel(models))
    into(layout.buildDirectory.dir("model"))
    rename { "sentio.tflite" }
}

tasks.named("preBuild") { dependsOn(copyModel) }

fun shippedModel(models: File): File {
    val registry = JsonSlurper().parse(models.resolve("registry.json")) as Map<*, *>
    val entry = (registry["models"] as List<*>).map { it as Map<*, *> }.single { it["name"] == registry["live"] }
    return models.resolve(entry["file"] as String)
}

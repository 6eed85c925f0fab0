package io.sentio.app

import android.app.Application

/** Holds the session, which survives the activities. */
class SentioApplication : Application() {
    val session: Session by lazy { Session(this) }
}

package io.sentio.app

import android.app.Activity

/** A screen that follows the app's session for as long as it is seen. */
abstract class SessionActivity : Activity() {
    protected val session get() = (application as SentioApplication).session
    private val onChange: () -> Unit = ::show

    /** Show what the session is at. */
    protected abstract fun show()

    /** Nobody sees this screen any more; a rotation is none of these times. */
    protected abstract fun left()

    override fun onStart() {
        super.onStart()
        session.listeners += onChange
        show()
    }

    override fun onStop() {
        session.listeners -= onChange
        if (!isChangingConfigurations) left()
        super.onStop()
    }
}
